"""Calibrate scores: of the images that are given 0.8, eight in ten shall have the value. Fitted on val alone.

Temperature: On Calibration of Modern Neural Networks (Guo, Pleiss, Sun, Weinberger, 2017), arXiv:1706.04599, section
4.2. Isotonic: Transforming Classifier Scores into Accurate Multiclass Probability Estimates (Zadrozny, Elkan, 2002):
one curve for two values, one per value against the rest and normalised for more. Both see softened targets, (n + 1) /
(n + 2) where n images have a value, as in Platt's "Probabilistic Outputs for Support Vector Machines" (1999), section
2.2: a val split without a mistake is no proof of a branch without one.

A calibration is a record of plain values, {"method": "temperature", "temperature": T} or {"method": "isotonic",
"curves": [{"scores": [...], "calibrated": [...]}, ...]}; `deployment.calibration` applies it without this room.

What is left is measured by the bins of a reliability diagram: Obtaining Well Calibrated Probabilities Using Bayesian
Binning (Naeini, Cooper, Hauskrecht, 2015) for two values, where the score of `values[1]` is looked at; Guo et al.,
equation 3, for more, where the highest score is.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression

from branches.measures.metrics import Floats, Labels, checked

Calibration = Mapping[str, Any]
SMALLEST = 1e-12  # a score of 0 has no logarithm
FOLDS = 5
COLDEST, HOTTEST = 0.05, 20.0
ENOUGH = 1000  # images for a curve


def calibrate(calibration: Calibration, scores: npt.ArrayLike) -> Floats:
    """Raw scores (N, V) -> calibrated ones (N, V), rows that sum to one."""
    table = np.asarray(scores, dtype=np.float64)
    if calibration["method"] == "temperature":
        logits = np.log(np.maximum(table, SMALLEST)) / calibration["temperature"]
        table = np.exp(logits - logits.max(1, keepdims=True))
        normalised: Floats = table / table.sum(1, keepdims=True)
        return normalised
    curves = [(np.array(curve["scores"]), np.array(curve["calibrated"])) for curve in calibration["curves"]]
    if len(curves) == 1:
        positive = np.interp(table[:, 1], *curves[0])
        return np.stack([1 - positive, positive], axis=1)
    table = np.stack([np.interp(column, *curve) for column, curve in zip(table.T, curves, strict=True)], axis=1)
    result: Floats = table / table.sum(1, keepdims=True)
    return result


def fit_temperature(scores: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, Any]:
    """The one number that all logits are divided by: of least negative log-likelihood (Guo et al., equation 9).

    `scores` (N, V) probabilities, `labels` (N,). Raises: BranchError for wrong shapes.
    """
    table, label = checked(scores, labels)
    targets = _targets(label, table.shape[1])
    logits = np.log(np.maximum(table, SMALLEST))

    def loss(log_temperature: float) -> float:
        divided = logits / np.exp(log_temperature)
        return float((np.logaddexp.reduce(divided, axis=1) - (targets * divided).sum(1)).mean())

    minimum = minimize_scalar(
        loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-6}
    )
    return {"method": "temperature", "temperature": float(np.exp(minimum.x))}


def fit_isotonic(scores: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, Any]:
    """Rising curves from score to the share of images that have the value, straight between their points.

    Shapes and errors as `fit_temperature`.
    """
    table, label = checked(scores, labels)
    columns = [1] if table.shape[1] == 2 else list(range(table.shape[1]))
    return {"method": "isotonic", "curves": [_curve(table[:, value], label == value) for value in columns]}


METHODS: Mapping[str, Callable[[npt.ArrayLike, npt.ArrayLike], dict[str, Any]]] = {
    "temperature": fit_temperature,
    "isotonic": fit_isotonic,
}


def fit_calibration(scores: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, Any]:
    """The calibration of a branch from its val scores (N, V) and labels (N,), with what chose the method.

    Isotonic regression wins only where it is better than the temperature by more than one standard error in negative
    log-likelihood, in five-fold cross-validation over these images, and there are 1,000 of them or more: with fewer, a
    curve of many parameters overfits, as Predicting Good Probabilities with Supervised Learning (Niculescu-Mizil,
    Caruana, 2005), section 5, found on ten data sets. Errors as `fit_temperature`.
    """
    table, label = checked(scores, labels)
    losses = {"raw": surprise(table, label)}
    losses |= {name: surprise(held_out(name, table, label), label) for name in METHODS}
    difference = losses["temperature"] - losses["isotonic"]
    error = float(difference.std(ddof=1) / np.sqrt(len(label)))
    chosen = "isotonic" if len(label) >= ENOUGH and difference.mean() > error else "temperature"
    return {
        **METHODS[chosen](table, label),
        "images": len(label),
        "cross_validated_nll": {name: float(loss.mean()) for name, loss in losses.items()},
        "standard_error": error,
    }


def held_out(method: str, scores: npt.ArrayLike, labels: npt.ArrayLike) -> Floats:
    """Calibrated scores (N, V), each image's by a fit on the four fifths that it is not part of.

    Image n of a value belongs to fifth n mod 5, so that nothing is drawn and every fifth has the values' shares.
    """
    table, label = checked(scores, labels)
    fold = np.empty(len(label), dtype=np.int64)
    for value in np.unique(label):
        rows = np.flatnonzero(label == value)
        fold[rows] = np.arange(len(rows)) % FOLDS
    result = np.empty_like(table)
    for number in np.unique(fold):
        out = fold == number
        # With one image there are no others to fit on.
        fitted = METHODS[method](table[~out], label[~out]) if not out.all() else METHODS[method](table, label)
        result[out] = calibrate(fitted, table[out])
    return result


def surprise(scores: Floats, labels: Labels) -> Floats:
    """Negative log-likelihood of each image's own value (N,), in nats."""
    own = scores[np.arange(len(labels)), labels]
    loss: Floats = -np.log(np.maximum(own, SMALLEST))
    return loss


def _targets(labels: Labels, values: int) -> Floats:
    """Softened one-hot targets (N, V): what the own value lacks, the others share."""
    counts = np.bincount(labels, minlength=values)
    own = (counts + 1) / (counts + 2)
    table = np.repeat(((1 - own) / (values - 1))[:, None], values, axis=1)
    np.fill_diagonal(table, own)
    targets: Floats = table[labels]
    return targets


def _curve(score: Floats, positive: npt.NDArray[np.bool_]) -> dict[str, list[float]]:
    """Points of the rising curve of one value; its lowest and highest values are the softened targets."""
    targets = _targets(positive.astype(np.int64), 2)[:, 1]
    fitted = IsotonicRegression(out_of_bounds="clip").fit(score, targets)
    return {"scores": fitted.X_thresholds_.tolist(), "calibrated": fitted.y_thresholds_.tolist()}


BINS = 15


class Bin(NamedTuple):
    """Images whose scores lie together: their mean score, the share of them that have the value, how many they are."""

    score: float
    share: float
    images: int


def reliability(scores: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = BINS) -> list[Bin]:
    """The bins that hold an image, lowest score first; they divide 0..1 into `bins` equal parts.

    `scores` (N, V) probabilities, `labels` (N,). Raises: BranchError for wrong shapes.
    """
    table, label = checked(scores, labels)
    if table.shape[1] == 2:
        score, hit = table[:, 1], label == 1
    else:
        score, hit = table.max(1), table.argmax(1) == label
    bin_of = np.clip(np.ceil(score * bins).astype(np.int64) - 1, 0, bins - 1)
    filled = []
    for number in np.unique(bin_of):
        rows = bin_of == number
        filled.append(Bin(float(score[rows].mean()), float(hit[rows].mean()), int(rows.sum())))
    return filled


def expected_calibration_error(filled: list[Bin]) -> float:
    """The gap between score and share, averaged over images (Guo et al., equation 3): 0 is perfect, 1 the worst."""
    total = sum(bin_.images for bin_ in filled)
    return sum(bin_.images * abs(bin_.score - bin_.share) for bin_ in filled) / total


def reliability_record(scores: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, Any]:
    """{"ece", "nll" (nats per image), "bins": [[score, share, images], ...]}, plain values for a record."""
    table, label = checked(scores, labels)
    filled = reliability(table, label)
    return {
        "ece": expected_calibration_error(filled),
        "nll": float(surprise(table, label).mean()),
        "bins": [list(bin_) for bin_ in filled],
    }
