"""Calibrate an exported branch's scores as `branches.measures.calibration` fitted it, with numpy alone."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from deployment.errors import BundleError

TEMPERATURES = (1e-6, 1e6)
SMALLEST = 1e-12  # as `branches.measures.calibration` has it
Floats = npt.NDArray[np.float64]


def calibrated(calibration: Mapping[str, Any] | None, scores: npt.ArrayLike) -> Floats | None:
    """Scores (N, V) -> calibrated scores (N, V); None for a branch that was exported without a calibration.

    calibration: `calibration` of branch.json, or None; a temperature that divides the logarithms of the scores,
    or curves with straight lines between their points, one for two values and one per value, then normalised, for more.
    Raises: BundleError for a record that is none.
    """
    if calibration is None:
        return None
    table = np.asarray(scores, dtype=np.float64)
    try:
        with np.errstate(all="ignore"):
            mapped = _applied(calibration, table)
        if not (np.isfinite(mapped) | ~np.isfinite(table)).all():
            raise ValueError("it gives scores that are no numbers")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"the calibration of a branch cannot be used ({error}): export it again") from error
    return mapped


def require_calibration(calibration: Mapping[str, Any], values: int) -> None:
    """Raises: ValueError (or what a record of another form raises) for one that some scores could not be put through.

    values: how many the branch has.
    """
    method = calibration["method"]
    if method == "temperature":
        _require(_lies(calibration["temperature"], *TEMPERATURES), "temperature", calibration["temperature"])
        return
    _require(method == "isotonic", "method", method)
    curves = calibration["curves"]
    _require(len(curves) == (1 if values == 2 else values), "number of curves", len(curves))
    for curve in curves:
        scores, mapped = curve["scores"], curve["calibrated"]
        _require(0 < len(scores) == len(mapped), "number of points", len(mapped))
        _require(all(_lies(score, -1.0, 2.0) for score in scores), "scores", scores)
        _require(all(left <= right for left, right in pairwise(scores)), "order of scores", scores)
        _require(all(_lies(value, 0.0, 1.0) for value in mapped), "calibrated", mapped)
    # Of more than two values the curves' results are divided by their sum, which must be none of 0.
    lowest = sum(min(curve["calibrated"]) for curve in curves)
    _require(values == 2 or lowest > 0, "sum of the lowest", lowest)


def _lies(value: object, lowest: float, highest: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and lowest <= value <= highest


def _require(holds: bool, what: str, value: object) -> None:
    if not holds:
        raise ValueError(f"the {what} of its calibration cannot be {str(value)[:80]}")


def _applied(calibration: Mapping[str, Any], table: Floats) -> Floats:
    if calibration["method"] == "temperature":
        if not calibration["temperature"] > 0:
            raise ValueError(f"its temperature is {calibration['temperature']}")
        logits = np.log(np.maximum(table, SMALLEST)) / calibration["temperature"]
        table = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(table / table.sum(1, keepdims=True))
    curves = [(np.array(curve["scores"]), np.array(curve["calibrated"])) for curve in calibration["curves"]]
    if len(curves) == 1:
        positive = np.interp(table[:, 1], *curves[0])
        return np.stack([1 - positive, positive], axis=1)
    table = np.stack([np.interp(column, *curve) for column, curve in zip(table.T, curves, strict=True)], axis=1)
    return np.asarray(table / table.sum(1, keepdims=True))
