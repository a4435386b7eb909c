"""The micro space: cells of nodes with two inputs and two operations each, stacked; searched once, used many times.

Efficient Neural Architecture Search via Parameter Sharing (Pham et al., 2018), arXiv:1802.03268, section 2.4. Different
from it: a node has an activation, which is a decision (GraftNet, section 3.3); width, depth and head are decisions too,
so that small branches are found; the width stays the same behind a reduction cell; an input of a cell that no node
reads is not passed on, so that a cell nobody reads is left out.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from search_spaces.architecture import Architecture, Setting
from search_spaces.decisions import Decision, Space
from search_spaces.errors import SpaceError
from search_spaces.isomorphism import canonical_labelled_graph
from search_spaces.operations import ACTIVATIONS, CELL_OPERATIONS, HEAD_POOLINGS, OPERATIONS, POOLINGS
from search_spaces.setting_checks import context_of, listed, sources_listed, whole, widths_listed

MAX_CELLS = 32
MAX_NODES = 16
NORMAL, REDUCTION = "normal", "reduction"
FIRST_NODE = 2  # 0 and 1 are the cell's inputs


class PairPlan(NamedTuple):
    """One node: activation(operations[0](inputs[0]) + operations[1](inputs[1])), every operation with a norm.

    The pairs are in the order of their operations, then inputs: which came first as a decision makes no difference.
    """

    operations: tuple[str, str]
    inputs: tuple[int, int]
    activation: str


class CellPlan(NamedTuple):
    """One cell of the stack. Inside, 0 is the output of the cell before the previous, 1 the previous, 2.. the nodes.

    `number`: its place in the stack, from 1. `sources`: the numbers of the cells that its inputs 0 and 1 come from (0:
    the stem), None where no node reads them; the first cell, which has the stem alone, reads it as input 1. `halved`:
    input 0 comes at twice the size of input 1. `loose`: the nodes that no other node reads; they are the cell's output.
    """

    number: int
    reduction: bool
    sources: tuple[int | None, int | None]
    halved: bool
    nodes: tuple[PairPlan, ...]
    loose: tuple[int, ...]

    @property
    def kind(self) -> str:
        """ "normal" or "reduction"."""
        return REDUCTION if self.reduction else NORMAL


class MicroPlan(NamedTuple):
    """What to build: the cells that the head's input depends on, first to last; `context` as in the macro space."""

    width: int
    cells: tuple[CellPlan, ...]
    pooling: str
    shortcut: bool
    context: int = 0


def micro_space(
    nodes: int = 3,
    *,
    cells: int = 3,
    reductions: Sequence[int] = (2,),
    widths: Sequence[int] = (16, 32, 64),
    depths: Sequence[int] = (),
    operations: Sequence[str] = CELL_OPERATIONS,
    activations: Sequence[str] = ("relu", "silu", "hard_swish"),
    poolings: Sequence[str] = HEAD_POOLINGS,
    shortcuts: Sequence[bool] = (False, True),
    sources: Sequence[int] = (),
) -> Space:
    """The micro search space.

    Stem: 1x1 convolution from the trunk's channels to `width`, batch norm, ReLU. Cell k reads the outputs of the cells
    k - 2 and k - 1, the first one the stem. Each of its `nodes` nodes takes two inputs from these and the nodes before
    it and computes activation(norm(operation(x)) + norm(operation(y))). The outputs of the nodes nobody reads are
    concatenated and, where there are several, brought back to `width` by a 1x1 convolution, batch norm and ReLU. In a
    reduction cell, operations on the cell's inputs have stride 2; a side of s becomes (s + 1) // 2, so that any map
    may be reduced, one of 1x1 included. The cell behind it takes its input 0 through a 1x1 convolution of stride 2,
    batch norm and ReLU. Head: as in the macro space.

    `cells`: the most cells of a branch; all normal ones share their choices, and so do all reduction cells.
    `reductions`: the numbers (from 1) of the reduction cells; those beyond the last cell do not occur. `depths`: how
    many cells a branch may have; empty: all of them, always, and no such decision. `sources`: as in the macro space.

    Decisions in order: width; depth, where there is a choice; per kind of cell that may occur and per node (from 2) its
    inputs a and b, its operations a and b and its activation; head pooling; head shortcut. A kind that may only come
    first has no input 0.

    Raises: SpaceError naming the setting that is out of range, empty, repeated or unknown.

    >>> [decision.name for decision in micro_space(1, cells=1).decisions][1:4]
    ['normal.node2.input_a', 'normal.node2.input_b', 'normal.node2.operation_a']
    """
    whole("micro", "nodes", nodes, MAX_NODES)
    whole("micro", "cells", cells, MAX_CELLS)
    for number in listed("micro", "reductions", reductions) if reductions else ():
        whole("micro", "every reduction", number, MAX_CELLS)
    for depth in listed("micro", "depths", depths) if depths else ():
        whole("micro", "every depth", depth, cells, "cells")
    settings: dict[str, Setting] = {
        "nodes": nodes,
        "cells": cells,
        "reductions": tuple(reductions),
        "widths": widths_listed("micro", widths),
        "operations": listed("micro", "operations", operations, OPERATIONS),
        "activations": listed("micro", "activations", activations, ACTIVATIONS),
        "poolings": listed("micro", "poolings", poolings, POOLINGS),
        "shortcuts": listed("micro", "shortcuts", shortcuts, (False, True)),
        **sources_listed("micro", sources),
    }
    decisions = [Decision("width", tuple(widths), "width")]
    if depths:
        settings["depths"] = tuple(depths)
        decisions.append(Decision("depth", tuple(depths), "depth"))
    for kind in (NORMAL, REDUCTION):
        last = max(depths or (cells,))
        places = [number for number in range(1, last + 1) if (number in reductions) == (kind == REDUCTION)]
        for node in range(FIRST_NODE, FIRST_NODE + nodes) if places else ():
            name, sources = f"{kind}.node{node}", tuple(range(int(places == [1]), node))
            decisions += [Decision(f"{name}.input_{pair}", sources, "input", node) for pair in "ab"]
            decisions += [Decision(f"{name}.operation_{pair}", tuple(operations), "operation", node) for pair in "ab"]
            decisions.append(Decision(f"{name}.activation", tuple(activations), "activation", node))
    decisions.append(Decision("head.pooling", tuple(poolings), "pooling"))
    decisions.append(Decision("head.shortcut", tuple(shortcuts), "shortcut"))
    return Space("micro", settings, tuple(decisions), canonical=_canonical)


@lru_cache(maxsize=4096)
def micro_plan(architecture: Architecture) -> MicroPlan:
    """Choices -> cells. The architecture must be legal (`Space.validate`). Raises: SpaceError for another space's."""
    if architecture.space != "micro":
        raise SpaceError(f"only an architecture of the 'micro' space has a micro plan, got {architecture.space!r}")
    settings = dict(architecture.settings)
    count = cast(int, architecture["depth"] if settings.get("depths") else settings["cells"])
    reductions = cast(tuple[int, ...], settings["reductions"])
    cells: list[CellPlan] = []
    read = {count}
    for number in range(count, 0, -1):
        if number in read:
            cell = _cell(architecture, cast(int, settings["nodes"]), number, reductions)
            read.update(source for source in cell.sources if source is not None)
            cells.append(cell)
    width, pooling = cast(int, architecture["width"]), cast(str, architecture["head.pooling"])
    shortcut = bool(architecture["head.shortcut"])
    return MicroPlan(width, tuple(reversed(cells)), pooling, shortcut, context_of(settings))


def _cell(architecture: Architecture, count: int, number: int, reductions: tuple[int, ...]) -> CellPlan:
    kind = REDUCTION if number in reductions else NORMAL
    nodes = []
    for node in range(FIRST_NODE, FIRST_NODE + count):
        pairs = []
        for pair in "ab":
            source = cast(int, architecture[f"{kind}.node{node}.input_{pair}"])
            # The first cell's inputs are one and the same map.
            pairs.append((cast(str, architecture[f"{kind}.node{node}.operation_{pair}"]), source or int(number == 1)))
        (first, left), (second, right) = sorted(pairs)
        activation = cast(str, architecture[f"{kind}.node{node}.activation"])
        nodes.append(PairPlan((first, second), (left, right), activation))
    read = {source for node in nodes for source in node.inputs}
    sources = (number - 2 if 0 in read else None, number - 1 if 1 in read else None)
    loose = tuple(node for node in range(FIRST_NODE, FIRST_NODE + count) if node not in read)
    return CellPlan(number, kind == REDUCTION, sources, 0 in read and number - 1 in reductions, tuple(nodes), loose)


def _canonical(architecture: Architecture) -> tuple[object, ...]:
    """Cells stand in a chain that no renumbering can change; the nodes inside a cell may trade places."""
    width, cells, pooling, shortcut, _ = micro_plan(architecture)
    return width, pooling, shortcut, tuple((cell.number, _form(cell)) for cell in cells)


def _form(cell: CellPlan) -> object:
    inputs = []
    for node in cell.nodes:
        pairs = zip(node.operations, node.inputs, strict=True)
        inputs.append(
            tuple(
                ((operation, f"input {source}"), 0) if source < FIRST_NODE else ((operation, ""), source - 1)
                for operation, source in pairs
            )
        )
    return canonical_labelled_graph([(node.activation,) for node in cell.nodes], inputs)
