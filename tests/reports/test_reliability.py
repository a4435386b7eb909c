"""The calibration error against its definition, image by image, and where it must be nought."""

import numpy as np
import pytest

from reports.image_records import SplitScores
from reports.reliability import reliability, scored_outcomes


def test_the_error_is_the_weighted_gap_of_the_bins() -> None:
    rng = np.random.default_rng(0)
    score = np.append(rng.random(300), [0.0, 0.1, 0.3, 1.0])
    outcome = rng.random(304) < score**2
    members = [
        [n for n in range(304) if low / 10 <= score[n] < (low + 1) / 10 or (low == 9 and score[n] == 1.0)]
        for low in range(10)
    ]
    expected = sum(abs(sum(score[n] - outcome[n] for n in inside)) for inside in members) / 304
    found = reliability(score, outcome)
    assert found.error == pytest.approx(expected)
    assert sum(one.images for one in found.bins) == 304
    assert [one.images for one in found.bins] == [len(inside) for inside in members]


def test_sure_and_right_is_calibrated_and_sure_and_wrong_is_not() -> None:
    sure = np.ones(20)
    assert reliability(sure, np.ones(20, dtype=bool)).error == 0
    assert reliability(sure, np.zeros(20, dtype=bool)).error == 1
    half = reliability(np.full(20, 0.5), np.arange(20) < 10)
    assert half.error == 0
    assert half.bins == ((0.5, 0.5, 20),)


def test_of_many_values_the_highest_score_is_asked() -> None:
    scores = np.array([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]])
    split = SplitScores(np.array([1, 2]), np.array([1, 0]), scores)
    score, outcome = scored_outcomes(split)
    assert score.tolist() == [0.5, 0.7]
    assert outcome.tolist() == [True, False]
    two = SplitScores(np.array([1, 0]), np.array([1, 0]), scores[:, :2])
    score, outcome = scored_outcomes(two)
    assert score.tolist() == [0.5, 0.2]
    assert outcome.tolist() == [True, False]
