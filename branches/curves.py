"""ROC and precision-recall curves as short lists of points, to be stored in a record and drawn by a report."""

import numpy as np
import numpy.typing as npt

from branches.errors import BranchError
from branches.metrics import Floats, cumulative_counts


def roc_points(
    scores: npt.ArrayLike, labels: npt.ArrayLike, limit: int = 200, *, value: int = 1
) -> dict[str, list[float]]:
    """The ROC curve of `value` against the rest: {"fpr", "tpr", "threshold"}, from (0, 0) to (1, 1).

    `scores` (N, V) probabilities, `labels` (N,). Corners of the curve are kept first; at most `limit` (>= 2) points,
    spread evenly along it. The first threshold lies just above the highest score. Raises BranchError when all images,
    or none, have the value.
    """
    level, hits, alarms = _counts(scores, labels, value)
    level = np.append(np.nextafter(level[0], np.inf), level)
    tpr, fpr = np.append(0, hits) / hits[-1], np.append(0, alarms) / alarms[-1]
    kept = _thinned(fpr, tpr, limit)
    return {"fpr": fpr[kept].tolist(), "tpr": tpr[kept].tolist(), "threshold": level[kept].tolist()}


def pr_points(
    scores: npt.ArrayLike, labels: npt.ArrayLike, limit: int = 200, *, value: int = 1
) -> dict[str, list[float]]:
    """The precision-recall curve of `value`: {"recall", "precision", "threshold"}, recall rising. As `roc_points`."""
    level, hits, alarms = _counts(scores, labels, value)
    recall, precision = hits / hits[-1], hits / (hits + alarms)
    kept = _thinned(recall, precision, limit)
    return {"recall": recall[kept].tolist(), "precision": precision[kept].tolist(), "threshold": level[kept].tolist()}


def _counts(
    scores: npt.ArrayLike, labels: npt.ArrayLike, value: int
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    probability, positive = np.asarray(scores, dtype=np.float64), np.asarray(labels) == value
    if not positive.any() or positive.all():
        raise BranchError(f"a curve needs images with and without value {value}: add images of the missing kind")
    return cumulative_counts(probability[:, value], positive)


def _thinned(x: Floats, y: Floats, limit: int) -> npt.NDArray[np.int64]:
    """Indices of the points to keep: both ends, then corners only, then evenly spread along the curve."""
    dx, dy = np.diff(x), np.diff(y)
    turns = dx[:-1] * dy[1:] != dx[1:] * dy[:-1]
    corners = np.concatenate([[0], np.flatnonzero(turns) + 1, [len(x) - 1]])
    corners = np.unique(corners)
    if len(corners) <= limit:
        return corners
    length = np.append(0, np.cumsum(np.abs(np.diff(x[corners])) + np.abs(np.diff(y[corners]))))
    return np.unique(corners[np.searchsorted(length, np.linspace(0, length[-1], limit))])
