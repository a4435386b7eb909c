"""Isomorphism of numbered graphs: a form of a network that does not depend on how its nodes are numbered.

Colour refinement (Weisfeiler and Leman, 1968) orders the nodes; the ties it leaves are tried out while they are few.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain, groupby, permutations, product

MAX_ORDERINGS = 720

Label = tuple[str, ...]
Graph = tuple[tuple[Label, tuple[int, ...]], ...]
Edge = tuple[Label, int]
LabelledGraph = tuple[tuple[Label, tuple[Edge, ...]], ...]


def canonical_graph(labels: Sequence[Label], inputs: Sequence[tuple[int, ...]]) -> Graph:
    """A renumbered copy: per node its label and the new numbers of its inputs.

    `inputs[i]` are what node i + 1 reads: numbers from 1, or 0 for the one source outside. Equal results mean
    isomorphic graphs, always. Isomorphic graphs have equal results unless more than `MAX_ORDERINGS` orderings tie.

    >>> canonical_graph([("a",), ("b",)], [(0,), (0,)]) == canonical_graph([("b",), ("a",)], [(0,), (0,)])
    True
    """
    form = canonical_labelled_graph(labels, [tuple(((), source) for source in sources) for sources in inputs])
    return tuple((label, tuple(source for _, source in edges)) for label, edges in form)


def canonical_labelled_graph(labels: Sequence[Label], inputs: Sequence[tuple[Edge, ...]]) -> LabelledGraph:
    """The same for graphs whose edges have labels too: `inputs[i]` are (label, number) pairs, in any order.

    >>> one = canonical_labelled_graph([("a",)], [((("wide",), 0), (("narrow",), 0))])
    >>> one == canonical_labelled_graph([("a",)], [((("narrow",), 0), (("wide",), 0))])
    True
    """
    colours = _refine(labels, inputs)
    ordered = sorted(range(1, len(labels) + 1), key=lambda node: colours[node - 1])
    groups = [list(group) for _, group in groupby(ordered, key=lambda node: colours[node - 1])]
    if math.prod(math.factorial(len(group)) for group in groups) > MAX_ORDERINGS:
        return _renumber(labels, inputs, ordered)
    return min(_renumber(labels, inputs, ordering) for ordering in _orderings(groups))


def _refine(labels: Sequence[Label], inputs: Sequence[tuple[Edge, ...]]) -> list[int]:
    """Colours (0, 1, ...) that any isomorphism preserves: a node's label, its inputs' and its readers' colours."""
    nodes = range(1, len(labels) + 1)
    readers = [
        [(label, reader) for reader in nodes for label, source in inputs[reader - 1] if source == node]
        for node in nodes
    ]
    colours = _rank(list(labels))
    while True:
        outside = [-1, *colours]  # the source outside has a colour of its own
        signatures = [
            (
                colours[node - 1],
                tuple(sorted((label, outside[other]) for label, other in inputs[node - 1])),
                tuple(sorted((label, outside[other]) for label, other in readers[node - 1])),
            )
            for node in nodes
        ]
        finer = _rank(signatures)
        if len(set(finer)) == len(set(colours)):
            return colours
        colours = finer


def _rank(values: Sequence[tuple[object, ...]]) -> list[int]:
    ranks = {value: rank for rank, value in enumerate(sorted(set(values)))}
    return [ranks[value] for value in values]


def _orderings(groups: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    for parts in product(*(permutations(group) for group in groups)):
        yield list(chain.from_iterable(parts))


def _renumber(labels: Sequence[Label], inputs: Sequence[tuple[Edge, ...]], ordering: Sequence[int]) -> LabelledGraph:
    number = {old: new for new, old in enumerate(ordering, start=1)} | {0: 0}
    return tuple(
        (labels[old - 1], tuple(sorted((label, number[source]) for label, source in inputs[old - 1])))
        for old in ordering
    )
