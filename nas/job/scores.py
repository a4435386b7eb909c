"""The winner's scores on disk, every contestant's curves, and the winner's calibration."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from branches.measures.calibration import calibrate, fit_calibration, held_out, reliability_record
from branches.measures.metrics import Scores
from nas.settings import JobData
from trunk.checkpoints import load_checkpoint, save_checkpoint
from trunk.errors import TrunkError

Points = Callable[..., dict[str, list[float]]]
SCORES = "scores.safetensors"
POINTS_OF_MANY = 60  # of a curve, where there is one per value


def keep_scores(folder: Path, scores: Mapping[str, Scores]) -> None:
    """Write the winner's probabilities (N, V) on "val" and "test": test is measured once, and need not be again."""
    save_checkpoint(folder / SCORES, {split: torch.from_numpy(table) for split, table in scores.items()}, {})


def read_scores(folder: Path) -> dict[str, Scores]:
    """What `keep_scores` wrote, val first. Raises: TrunkError where the file is not whole."""
    path = folder / SCORES
    if not path.exists():
        raise TrunkError(f"{path} is missing; restore it, or delete {folder} and run the search again.")
    kept = load_checkpoint(path)[0]
    return {split: kept[split].numpy() for split in ("val", "test") if split in kept}


def curves(data: JobData, val: Mapping[str, Scores], test: Mapping[str, Scores], points: Points) -> dict[str, Any]:
    """A curve per split and contestant; of more than two values the winner's, one per value.

    val, test: the scores (N, V) of each contestant; test may be empty.
    """
    splits = {"val": (val, data.val), "test": (test, data.test)}
    known = {split: (tables, part.labels.numpy()) for split, (tables, part) in splits.items() if part is not None}
    if len(data.values) == 2:
        return {
            split: {name: points(scores, labels) for name, scores in tables.items()}
            for split, (tables, labels) in known.items()
        }
    return {
        split: {
            "winner": {
                value: points(tables["winner"], labels, POINTS_OF_MANY, value=index)
                for index, value in enumerate(data.values)
                if 0 < (labels == index).sum() < len(labels)
            }
        }
        for split, (tables, labels) in known.items()
    }


def calibrated_winner(data: JobData, scores: Mapping[str, Scores]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The calibration that goes into the branch's record, and the record ``calibration`` of ``result.json``.

    scores: the winner's, (N, V), on "val" and where there is one on "test" (`keep_scores`).

    Returns:
        :func:`branches.measures.calibration.fit_calibration` of val; and ``{"method", "images", "cross_validated_nll",
        "standard_error", "val": {"raw", "calibrated"}, "test": the same or None}``, each of them a record of
        :func:`branches.measures.calibration.reliability_record`. Calibrated val scores are held out (each image's by a
        fit without it); test only reports.
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
