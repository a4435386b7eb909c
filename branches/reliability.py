"""How far scores are from the truth of what they say: expected calibration error, the bins of a reliability diagram.

Obtaining Well Calibrated Probabilities Using Bayesian Binning (Naeini, Cooper, Hauskrecht, 2015) for two values, where
the score of `values[1]` is looked at; On Calibration of Modern Neural Networks (Guo et al., 2017), arXiv:1706.04599,
equation 3, for more, where the highest score is.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from branches.calibration import surprise
from branches.metrics import checked

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
    place = np.clip(np.ceil(score * bins).astype(np.int64) - 1, 0, bins - 1)
    found = []
    for number in np.unique(place):
        rows = place == number
        found.append(Bin(float(score[rows].mean()), float(hit[rows].mean()), int(rows.sum())))
    return found


def expected_calibration_error(found: list[Bin]) -> float:
    """The gap between score and share, averaged over images (Guo et al., equation 3): 0 is perfect, 1 the worst."""
    total = sum(one.images for one in found)
    return sum(one.images * abs(one.score - one.share) for one in found) / total


def reliability_record(scores: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, Any]:
    """{"ece", "nll" (nats per image), "bins": [[score, share, images], ...]}, plain values for a record."""
    table, label = checked(scores, labels)
    found = reliability(table, label)
    return {
        "ece": expected_calibration_error(found),
        "nll": float(surprise(table, label).mean()),
        "bins": [list(one) for one in found],
    }
