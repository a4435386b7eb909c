"""Measures of a branch's scores: the figures of `result.json`, the rewards of a search, their uncertainty, curves.

Scores are probabilities, (N, V): one row per image, one column per value of the attribute. With two values, column 1 is
the positive one. With more, AUROC, average precision, F1, precision, recall and false positive rate are one-versus-rest
figures averaged over the values that occur in the labels ("macro"). Curves are short lists of points, to be stored in a
record and drawn by a report.

The definitions are scikit-learn's (ties included), written in numpy because a search calls a reward hundreds of times.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from branches.errors import BranchError

Floats = npt.NDArray[np.float64]
Scores = Floats  # (N, V) probabilities: a row per image, a column per value
Labels = npt.NDArray[np.int64]
Reward = Callable[[npt.ArrayLike, npt.ArrayLike], float]

THRESHOLD_RULES = ("f1", "balanced_accuracy", "accuracy")


def measure(scores: npt.ArrayLike, labels: npt.ArrayLike, *, threshold: float | None) -> dict[str, float | None]:
    """Every figure of one branch on one split.

    `scores` (N, V) probabilities, `labels` (N,) value indices. With two values an image is positive when
    `scores[:, 1] >= threshold` (None: 0.5); with more the value is the arg max and `threshold` is None in the answer.
    Raises BranchError for wrong shapes, non-finite scores, or labels that hold fewer than two values.
    """
    probability, label = checked(scores, labels)
    if not np.isfinite(probability).all():
        raise BranchError(
            "cannot measure scores that hold nan or infinity: either the features hold such numbers, or the branch "
            "diverged; look at the features, then train it with a lower learning rate"
        )
    count = probability.shape[1]
    if count == 2:
        threshold = 0.5 if threshold is None else threshold
        chosen = (probability[:, 1] >= threshold).astype(np.int64)
        values = np.array([1])
    else:
        threshold, chosen, values = None, probability.argmax(1), _present(label)
    predicted, actual = chosen[:, None] == values, label[:, None] == values
    hits = (predicted & actual).sum(0)
    predictions, positives = predicted.sum(0), actual.sum(0)
    precision, recall = _ratio(hits, predictions), _ratio(hits, positives)
    at_threshold = {
        "accuracy": float((chosen == label).mean()),
        "balanced_accuracy": _mean_recall(chosen, label, count),
        "f1": float(_ratio(2 * hits, predictions + positives).mean()),
        "threshold": threshold,
        "precision": float(precision.mean()),
        "recall": float(recall.mean()),
        "fpr": float(_ratio(predictions - hits, len(label) - positives).mean()),
    }
    others = {name: reward(probability, label) for name, reward in REWARDS.items() if name not in at_threshold}
    return {**others, **at_threshold}


def auroc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Area under the ROC curve: how often a positive image scores above a negative one, ties counting half.

    Shapes as in `measure`. Non-finite scores give 0.0: a child that diverged earns nothing.
    """
    return _one_versus_rest(_area_under_roc, scores, labels)


def average_precision(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Precision averaged over recall, without interpolation. Shapes as in `measure`; non-finite scores give 0.0."""
    return _one_versus_rest(ranked_precision, scores, labels)


def accuracy(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of images whose highest score is the true value. Shapes as in `measure`; non-finite scores give 0.0."""
    probability, label = checked(scores, labels)
    return float((probability.argmax(1) == label).mean()) if np.isfinite(probability).all() else 0.0


def balanced_accuracy(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Recall of the highest score, averaged over the values. Shapes as in `measure`; non-finite scores give 0.0."""
    probability, label = checked(scores, labels)
    if not np.isfinite(probability).all():
        return 0.0
    return _mean_recall(probability.argmax(1), label, probability.shape[1])


REWARDS: Mapping[str, Reward] = {
    "auroc": auroc,
    "average_precision": average_precision,
    "balanced_accuracy": balanced_accuracy,
    "accuracy": accuracy,
}


def title_of(metric: str) -> str:
    """A metric's name within a sentence.

    >>> title_of("auroc"), title_of("average_precision")
    ('AUROC', 'average precision')
    """
    return {"auroc": "AUROC", "f1": "F1"}.get(metric, metric.replace("_", " "))


def best_threshold(scores: npt.ArrayLike, labels: npt.ArrayLike, by: str = "f1") -> float:
    """The threshold in [0, 1] on the positive score that maximises `by` (one of THRESHOLD_RULES) on these images.

    `scores` (N, 2) or the positive column (N,). A threshold lies half-way between two neighbouring scores, so that
    rounding in another runtime does not flip an image; among equals the one nearest to 0.5 is taken.
    """
    if by not in THRESHOLD_RULES:
        raise BranchError(f"cannot choose a threshold by {by!r}: choose one of {', '.join(THRESHOLD_RULES)}")
    table = np.asarray(scores, dtype=np.float64)
    probability, label = checked(np.stack([1 - table, table], axis=1) if table.ndim == 1 else table, labels)
    if probability.shape[1] != 2:
        raise BranchError(f"a threshold needs scores of 2 values, got {probability.shape[1]}: use the arg max instead")
    level, hits, alarms = cumulative_counts(probability[:, 1], label == 1)
    positives, negatives = hits[-1], alarms[-1]
    if not positives or not negatives:
        raise BranchError("cannot choose a threshold on images that all have one value: add images of the other value")
    hits, alarms = np.append(0, hits), np.append(0, alarms)
    if by == "f1":
        value = 2 * hits / (hits + alarms + positives)
    elif by == "balanced_accuracy":
        value = (hits / positives + 1 - alarms / negatives) / 2
    else:
        value = (hits + negatives - alarms) / len(label)
    edges = np.concatenate([[max(1.0, level[0])], level, [min(0.0, level[-1])]])
    thresholds = (edges[:-1] + edges[1:]) / 2
    best = np.flatnonzero(value >= value.max() - 1e-12)
    return float(thresholds[best[np.abs(thresholds[best] - 0.5).argmin()]])


def paired_bootstrap(
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    labels: npt.ArrayLike,
    metric: str,
    seed: int,
    rounds: int = 1000,
) -> tuple[float, float, float]:
    """What a scores above b on the same images: (difference, low, high), the bounds of a 95 % percentile interval.

    The images are drawn again with replacement within each value, `rounds` times, the same draw for a and b.
    Shapes as in `measure`; `metric` is a key of REWARDS.
    """
    if metric not in REWARDS:
        raise BranchError(f"cannot compare by {metric!r}: choose one of {', '.join(REWARDS)}")
    reward = REWARDS[metric]
    a, label = checked(scores_a, labels)
    b, _ = checked(scores_b, labels)
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(label == value) for value in _present(label)]
    differences = np.empty(rounds)
    for i in range(rounds):
        draw = np.concatenate([rng.choice(group, len(group)) for group in groups])
        differences[i] = reward(a[draw], label[draw]) - reward(b[draw], label[draw])
    low, high = np.percentile(differences, [2.5, 97.5])
    return reward(a, label) - reward(b, label), float(low), float(high)


def cumulative_counts(score: Floats, positive: npt.NDArray[np.bool_]) -> tuple[Floats, Labels, Labels]:
    """(distinct scores, falling; positives at or above each; negatives at or above each), all of one length."""
    order = np.argsort(-score, kind="stable")
    score, hits = score[order], np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    return score[last], hits[last], last + 1 - hits[last]


def _area_under_roc(score: Floats, positive: npt.NDArray[np.bool_]) -> float:
    high, low = score[positive], np.sort(score[~positive])
    wins = np.searchsorted(low, high, "left").sum() + np.searchsorted(low, high, "right").sum()
    return float(wins) / (2 * len(high) * len(low))


def ranked_precision(score: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Average precision of scores (N,) for images of which these (N,), one or more, are positive."""
    _, hits, alarms = cumulative_counts(score, positive)
    return float((hits / (hits + alarms) * np.diff(hits, prepend=0)).sum() / hits[-1])


def _one_versus_rest(
    figure: Callable[[Floats, npt.NDArray[np.bool_]], float], scores: npt.ArrayLike, labels: npt.ArrayLike
) -> float:
    probability, label = checked(scores, labels)
    values = _present(label)
    if not np.isfinite(probability).all():
        return 0.0
    if probability.shape[1] == 2:
        return figure(probability[:, 1], label == 1)
    return float(np.mean([figure(probability[:, value], label == value) for value in values]))


def _mean_recall(chosen: Labels, label: Labels, count: int) -> float:
    total = np.bincount(label, minlength=count)
    hits = np.bincount(label[chosen == label], minlength=count)
    return float((hits[total > 0] / total[total > 0]).mean())


def _present(label: Labels) -> Labels:
    values = np.flatnonzero(np.bincount(label))
    if len(values) < 2:
        raise BranchError(
            "cannot measure on images that all have one value: every split needs images of at least two values"
        )
    return values


def _ratio(part: Labels, whole: Labels) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def checked(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Labels]:
    """Both as arrays, (N, V >= 2) and (N,). Raises: BranchError for other shapes, or a label without a column."""
    probability, label = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if probability.ndim != 2 or probability.shape[1] < 2 or label.shape != probability.shape[:1] or not len(label):
        raise BranchError(
            f"scores must be (images, values >= 2) and labels (images,), got {probability.shape} and {label.shape}"
        )
    if label.min() < 0 or label.max() >= probability.shape[1]:
        raise BranchError(
            f"labels must lie in 0..{probability.shape[1] - 1}, one per column of the scores, "
            f"got {label.min()}..{label.max()}"
        )
    return probability, label


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
