"""Relations between labels: which exclude one another, what one implies; images that break them, and suggestions.

Said in `[[relations]]` of graftnet.toml, over the labels of a table (:mod:`subdatasets.labels.table`). An image breaks
a relation by what is known of it; what is unknown breaks nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from subdatasets.errors import DataError
from subdatasets.labels.table import ABSENT, PRESENT, UNKNOWN, LabelTable

LEAST = 10.0  # images that would have to break a relation by chance alone, before it is suggested
EXCEPTIONS = 0.05  # of these may do so: tables have mistakes


@dataclass(frozen=True)
class Relation:
    """Labels of which an image shows at most one (``exclude``), or whose first implies the others (``imply``)."""

    kind: str
    labels: tuple[str, ...]

    def __str__(self) -> str:
        if self.kind == "exclude":
            return f"{', '.join(self.labels)} exclude one another"
        return f"{self.labels[0]} implies {' and '.join(self.labels[1:])}"

    def broken_by(self, table: LabelTable) -> NDArray[np.bool_]:
        """(N,): which images of a table break it.

        Raises:
            DataError: the table lacks one of the labels.
        """
        states = table.select(self.labels).states
        if self.kind == "exclude":
            broken: NDArray[np.bool_] = (states == PRESENT).sum(axis=1) > 1
        else:
            broken = (states[:, 0] == PRESENT) & (states[:, 1:] == ABSENT).any(axis=1)
        return broken

    def shown(self, table: LabelTable, row: int) -> str:
        """What an image that breaks it shows: "baby and child", or "holding_baby without adult"."""
        states = table.select(self.labels).states[row]
        if self.kind == "exclude":
            return " and ".join(np.array(self.labels)[states == PRESENT])
        return f"{self.labels[0]} without {' and '.join(np.array(self.labels[1:])[states[1:] == ABSENT])}"


@dataclass(frozen=True)
class Suggestion:
    """A relation that a table keeps (nearly): how many images say something of it, and how many break it.

    ``expected``: how many would break it if the labels were independent.
    """

    relation: Relation
    images: int
    broken: int
    expected: float


def checked_relations(relations: Sequence[Relation], labels: Sequence[str]) -> None:
    """Refuse relations that name a label that there is not.

    Raises:
        DataError: the first one, with what there is.
    """
    for number, relation in enumerate(relations, start=1):
        for label in relation.labels:
            if label not in labels:
                raise DataError(
                    f"[[relations]] number {number} names {label!r}, which is no label here; there are "
                    f"{', '.join(labels)} (of an attribute of more than two values: NAME=VALUE)."
                )


def suggest_relations(table: LabelTable) -> list[Suggestion]:
    """What a table keeps beyond chance, exclusions of the most labels first, then implications.

    A pair excludes where both labels are known, `LEAST` images or more would show both by chance, and at most the
    share `EXCEPTIONS` of that many do; pairs of which all exclude one another are one relation. a implies b where so
    many images with a would lack b by chance, and nearly none does. Values of one attribute exclude one another
    anyway, and are not suggested.
    """
    states, labels = table.states, table.labels
    graph: nx.Graph = nx.Graph()
    implied = []
    for i, first in enumerate(labels):
        for j, second in enumerate(labels):
            if i == j or _attribute(first) == _attribute(second):
                continue
            known = (states[:, i] != UNKNOWN) & (states[:, j] != UNKNOWN)
            here, there = states[known, i] == PRESENT, states[known, j] == PRESENT
            images, both = int(known.sum()), int((here & there).sum())
            together = float(here.sum()) * float(there.sum()) / max(1, images)
            if i < j and together >= LEAST and both <= EXCEPTIONS * together:
                graph.add_edge(first, second, images=images, broken=both, expected=together)
            lacking = float(here.sum()) - together
            if lacking >= LEAST and here.sum() - both <= EXCEPTIONS * lacking:
                broken = int(here.sum()) - both
                implied.append(Suggestion(Relation("imply", (first, second)), int(here.sum()), broken, lacking))
    order = {label: number for number, label in enumerate(labels)}
    excluded = []
    for clique in nx.find_cliques(graph):
        members = tuple(sorted(clique, key=order.__getitem__))
        pairs = [graph.edges[pair] for pair in combinations(members, 2)]
        excluded.append(
            Suggestion(
                Relation("exclude", members),
                min(pair["images"] for pair in pairs),
                sum(pair["broken"] for pair in pairs),
                sum(pair["expected"] for pair in pairs),
            )
        )
    excluded.sort(key=lambda each: (-len(each.relation.labels), [order[label] for label in each.relation.labels]))
    return [*excluded, *implied]


def _attribute(label: str) -> str:
    return label.partition("=")[0]
