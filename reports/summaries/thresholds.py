"""Thresholds of the winner: accuracy, precision, recall and false positive rate at each, from its predictions.

GraftNet's engineering paper, Table 2, gives these figures of each attribute at its best threshold.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reports.summaries.predictions import SplitScores
from reports.summaries.search import Records
from reports.summaries.values import number, table

STEPS = tuple(step / 10 for step in range(1, 10))
GOALS = (("fpr", 0.01), ("fpr", 0.05), ("recall", 0.95))  # false alarms at most, hits at least


class OperatingPoint(NamedTuple):
    """The figures where the second of two values is predicted from `threshold` on; precision 0 where it never is."""

    threshold: float
    accuracy: float
    precision: float
    recall: float
    fpr: float


class Row(NamedTuple):
    """A threshold with its figures on test and val, None where there is no such split. `why`: what it is for."""

    threshold: float
    why: str
    test: OperatingPoint | None
    val: OperatingPoint | None


def points_at(thresholds: NDArray[np.float64], scores: SplitScores) -> list[OperatingPoint]:
    """The figures at each threshold (T,), of a split with both of two values; none for another split."""
    positive, score = scores.labels == 1, scores.scores[:, 1]
    if scores.scores.shape[1] != 2 or positive.all() or not positive.any():
        return []
    positives, negatives = np.sort(score[positive]), np.sort(score[~positive])
    hits = len(positives) - np.searchsorted(positives, thresholds, "left")
    alarms = len(negatives) - np.searchsorted(negatives, thresholds, "left")
    precision = np.divide(hits, hits + alarms, out=np.zeros(len(thresholds)), where=hits + alarms > 0)
    accuracy = (hits + len(negatives) - alarms) / len(score)
    recall, fpr = hits / len(positives), alarms / len(negatives)
    columns = (thresholds, accuracy, precision, recall, fpr)
    return [OperatingPoint(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def chosen_threshold(records: Records) -> float | None:
    """The threshold that val chose; None before, and for an attribute of more than two values."""
    return number(table(records.result.get("val")).get("threshold"))


def operating_rows(records: Records) -> tuple[Row, ...]:
    """The chosen threshold, steps of a tenth, and those that reach a goal on val; ascending."""
    splits = records.predictions.splits
    wanted: dict[float, str] = dict.fromkeys(STEPS, "")
    if "val" in splits:
        wanted |= goals(splits["val"])
    if (chosen := chosen_threshold(records)) is not None:
        wanted[chosen] = "chosen on val"
    thresholds = sorted(wanted)
    at = {split: points_at(np.array(thresholds), splits[split]) for split in splits}
    if not any(at.values()):
        return ()
    rows = []
    for index, threshold in enumerate(thresholds):
        test, val = (at[split][index] if at.get(split) else None for split in ("test", "val"))
        rows.append(Row(threshold, wanted[threshold], test, val))
    return tuple(rows)


def goals(val: SplitScores) -> dict[float, str]:
    """The threshold that reaches each of `GOALS` on val with the best of the other rate, half-way between scores."""
    scores = np.unique(val.scores[:, 1])
    edges = np.concatenate([[0.0], (scores[1:] + scores[:-1]) / 2, [1.0]])
    points = points_at(edges, val)
    reached = {}
    for name, goal in GOALS:
        if name == "fpr":
            meets = [point for point in points if point.fpr <= goal]
            best = max(meets, key=lambda point: (point.recall, point.threshold), default=None)
            words = f"FPR at most {goal:.0%} on val"
        else:
            meets = [point for point in points if point.recall >= goal]
            best = min(meets, key=lambda point: (point.fpr, -point.threshold), default=None)
            words = f"recall at least {goal:.0%} on val"
        if best is not None and 0 < best.threshold < 1:
            reached[best.threshold] = words
    return reached
