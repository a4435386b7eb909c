"""Gains against scikit-learn's average precision, resampling by repetition, and intervals that mean something."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from label_graph.errors import LabelGraphError
from label_graph.gain import paired_gain, ranking, weighted_precision


def example(seed: int = 0, images: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    states = (rng.random((images, 3)) < 0.4).astype(np.int8)
    a = states + rng.normal(size=states.shape)
    b = rng.normal(size=states.shape)
    states[rng.random(states.shape) < 0.2] = -1
    return np.round(a, 1), np.round(b, 1), states  # rounded: with ties


def test_weighted_precision_is_that_of_repeated_images():
    a, _, states = example()
    weights = np.random.default_rng(1).integers(0, 4, size=(5, len(a))).astype(np.float64)
    for label in range(3):
        found = weighted_precision(ranking(a[:, label], states[:, label]), weights)
        for row, value in zip(weights.astype(int), found, strict=True):
            chosen = np.repeat(np.arange(len(a)), row)
            chosen = chosen[states[chosen, label] >= 0]
            assert value == pytest.approx(average_precision_score(states[chosen, label], a[chosen, label]))


def test_the_gain_is_the_difference_of_the_means():
    a, b, states = example()
    gain = paired_gain(a, b, states, seed=0, rounds=200)
    known = [states[:, j] >= 0 for j in range(3)]
    each = [
        average_precision_score(states[k, j], a[k, j]) - average_precision_score(states[k, j], b[k, j])
        for j, k in enumerate(known)
    ]
    assert gain.labels == pytest.approx(each)
    assert gain.total == pytest.approx(np.mean(each))
    assert 0 < gain.low < gain.total < gain.high
    assert paired_gain(a, b, states, seed=0, rounds=200).low == gain.low
    assert paired_gain(a, b, states, seed=1, rounds=200).low != gain.low


def test_equal_scores_gain_nothing():
    a, _, states = example()
    gain = paired_gain(a, a, states, seed=0, rounds=50)
    assert (gain.total, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_a_label_without_positives_is_left_out():
    a, b, states = example()
    states[states[:, 1] == 1, 1] = 0
    gain = paired_gain(a, b, states, seed=0, rounds=50)
    assert np.isnan(gain.labels).tolist() == [False, True, False]
    assert gain.total == pytest.approx(np.nanmean(gain.labels))
    states[:] = 0
    with pytest.raises(LabelGraphError, match="No label has a known positive"):
        paired_gain(a, b, states, seed=0)
    with pytest.raises(LabelGraphError, match="one shape"):
        paired_gain(a[:5], b, states, seed=0)
