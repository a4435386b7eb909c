"""Read a label graph's run as clean values: labels, edges, gains, figures; what is broken is left out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from foundation.errors import RecordError, UserError
from foundation.history import read_history
from foundation.records import read_text
from reports.errors import ReportError
from reports.layout.formats import Names
from reports.summaries.values import items, number, numbers_of, table, text, whole

METHODS = Names(
    {
        "cooccurrence": "label graph",
        "identity": "identity graph",
        "none": "no graph",
        "branches": "branches",
        "combined": "branches + graph",
    }
)


class Node(NamedTuple):
    """A label: its name, and how many training images show it."""

    name: str
    positives: int


class Edge(NamedTuple):
    """From label i to label j (their places) with P(j | i), counted or estimated."""

    start: int
    end: int
    probability: float
    estimated: bool


class LabelGain(NamedTuple):
    """What a method gains in mAP over another: in all with its interval, and of each label (None: not measured).

    few: no label has images enough to tell a gain from luck; where some have, the figures in all are of these.
    """

    a: str
    b: str
    total: float
    low: float
    high: float
    labels: tuple[float | None, ...]
    few: bool = False


class GraphRecords(NamedTuple):
    """What a run has written. curves: graph -> val mAP per epoch."""

    folder: Path
    result: dict[str, object]
    curves: dict[str, tuple[tuple[float, float], ...]]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The labels in their order."""
        labels = []
        for entry in map(table, items(self.result.get("per_label"))):
            train = table(table(entry.get("images")).get("train"))
            labels.append(Node(text(entry.get("name")) or "?", whole(train.get("present")) or 0))
        return tuple(labels)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The edges between labels that there are, the strongest first."""
        count, known = len(self.nodes), []
        for entry in map(table, items(table(self.result.get("graph")).get("edges"))):
            start, end, probability = whole(entry.get("from")), whole(entry.get("to")), number(entry.get("probability"))
            if start is None or end is None or probability is None or max(start, end) >= count or start == end:
                continue
            known.append(Edge(start, end, probability, entry.get("estimated") is True))
        return tuple(sorted(known, key=lambda edge: (-edge.probability, edge.start, edge.end)))

    @property
    def gains(self) -> tuple[LabelGain, ...]:
        """The gains that were measured."""
        known = []
        for entry in map(table, table(self.result.get("gains")).values()):
            a, b = text(entry.get("a")), text(entry.get("b"))
            total, low, high = (number(entry.get(key)) for key in ("map", "low", "high"))
            if a and b and total is not None and low is not None and high is not None:
                each = tuple(number(record) for record in items(entry.get("labels")))
                enough = table(entry.get("enough"))
                judged = tuple(number(enough.get(key)) for key in ("map", "low", "high"))
                if judged[0] is not None and judged[1] is not None and judged[2] is not None:
                    total, low, high = judged[0], judged[1], judged[2]
                known.append(LabelGain(a, b, total, low, high, each, number(enough.get("labels")) == 0))
        return tuple(known)

    @property
    def split(self) -> str:
        """Where the methods were compared."""
        return text(self.result.get("measured_on")) or "test"

    @property
    def chosen(self) -> str:
        """The graph whose classifiers are kept."""
        return text(self.result.get("chosen")) or "cooccurrence"

    def figures(self, method: str, split: str) -> dict[str, float]:
        """A method's figures on one split; empty where there are none."""
        return numbers_of(table(table(self.result.get("methods")).get(method)).get(split))

    @property
    def trained(self) -> tuple[str, ...]:
        """All methods, in their order; those that are not known last."""
        return tuple(dict.fromkeys((*METHODS, *table(self.result.get("methods")))))

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that have figures where they were compared."""
        return tuple(method for method in self.trained if self.figures(method, self.split))


def read_graph_records(folder: Path) -> GraphRecords:
    """`result.json` and, where it is there, `history.jsonl` of a run.

    Raises:
        ReportError: there is no result, or it cannot be read.
    """
    path = folder / "result.json"
    try:
        result = json.loads(read_text(path))
    except FileNotFoundError as error:
        raise ReportError(f"{folder} holds no finished label graph: run graftnet graph train first.") from error
    except RecordError as error:
        raise ReportError(str(error)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f"{path} cannot be read ({error}): run graftnet graph train --force.") from error
    if not isinstance(result, Mapping):
        raise ReportError(f"{path} does not hold a JSON object: run graftnet graph train --force.")
    return GraphRecords(folder, table(result), curves_of(folder / "history.jsonl"))


def curves_of(path: Path) -> dict[str, tuple[tuple[float, float], ...]]:
    """Graph -> (epoch, val mAP) of each epoch; empty when the history cannot be read."""
    try:
        records = read_history(path)
    except (OSError, UserError):
        return {}
    curves: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        epoch, score, graph = number(record.get("epoch")), number(record.get("val_score")), text(record.get("graph"))
        if record.get("kind") == "epoch" and epoch is not None and score is not None and graph:
            curves.setdefault(graph, []).append((epoch, score))
    return {graph: tuple(points) for graph, points in curves.items()}
