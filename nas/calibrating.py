"""The winner's scores, calibrated on val when everything else is decided: no figure, threshold or choice changes."""

from collections.abc import Mapping
from typing import Any

from branches.calibration import calibrate, fit_calibration, held_out, reliability_record
from nas.kept_scores import Scores
from nas.settings import JobData


def calibrated_winner(data: JobData, scores: Mapping[str, Scores]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The calibration that goes into the branch's record, and the record ``calibration`` of ``result.json``.

    scores: the winner's, (N, V), on "val" and where there is one on "test" (:func:`nas.kept_scores.keep_scores`).

    Returns:
        :func:`branches.calibration.fit_calibration` of val; and ``{"method", "images", "cross_validated_nll",
        "standard_error", "val": {"raw", "calibrated"}, "test": the same or None}``, each of them a record of
        :func:`branches.calibration.reliability_record`. Calibrated val scores are held out (each image's by a fit
        without it); test only reports.
    """
    labels = data.val.labels.numpy()
    calibration = fit_calibration(scores["val"], labels)
    shown = {key: value for key, value in calibration.items() if key != "curves"}
    shown["val"] = {
        "raw": reliability_record(scores["val"], labels),
        "calibrated": reliability_record(held_out(calibration["method"], scores["val"], labels), labels),
    }
    shown["test"] = None
    if data.test is not None:
        labels = data.test.labels.numpy()
        shown["test"] = {
            "raw": reliability_record(scores["test"], labels),
            "calibrated": reliability_record(calibrate(calibration, scores["test"]), labels),
        }
    return calibration, shown
