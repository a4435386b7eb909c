"""Predictions -> calibration: does a score of 0.8 come true four times in five? The reliability diagram and its error.

On Calibration of Modern Neural Networks (Guo et al., 2017), arXiv:1706.04599, eq. 3: the expected calibration error is
the mean gap between score and outcome over bins, weighted by their images. Of two values we bin the second one's score
against how often it is true; of more, as in the paper, the highest score against how often it is right.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reports.image_records import SplitScores

BINS = 10


class Bin(NamedTuple):
    """The images whose score lies in one bin: their mean score, how often it came true, and how many they are."""

    score: float
    outcome: float
    images: int


class Reliability(NamedTuple):
    """The bins that hold images, by score, and the expected calibration error."""

    bins: tuple[Bin, ...]
    error: float


def scored_outcomes(scores: SplitScores) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each image's score (N,) and whether what it speaks for is true (N,)."""
    if scores.scores.shape[1] == 2:
        return scores.scores[:, 1], scores.labels == 1
    return scores.scores.max(1), scores.scores.argmax(1) == scores.labels


def reliability(score: NDArray[np.float64], outcome: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Bins of equal width over 0 .. 1, the last one closed."""
    place = np.minimum((score * bins).astype(np.int64), bins - 1)
    images = np.bincount(place, minlength=bins)
    held = np.flatnonzero(images)
    mean = np.bincount(place, score, bins)[held] / images[held]
    true = np.bincount(place, outcome, bins)[held] / images[held]
    error = float((np.abs(mean - true) * images[held]).sum() / len(score))
    found = zip(mean.tolist(), true.tolist(), images[held].tolist(), strict=True)
    return Reliability(tuple(Bin(*one) for one in found), error)
