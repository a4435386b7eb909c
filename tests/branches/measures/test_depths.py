"""Depths are told apart by what their averages hold; intervals are scikit-learn's AUROC on images drawn again."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from branches.measures.depths import (
    ProbedRows,
    advised,
    advised_for_all,
    bootstrap,
    probe_depths,
    weighted_auroc,
)

WIDTHS = [3, 5, 8]


def rows(count: int, seed: int, values: int = 2) -> ProbedRows:
    """The first depth holds nothing, the second the label, the third the label and noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, values, count)
    averages = rng.normal(size=(count, sum(WIDTHS))).astype(np.float32)
    for value in range(values):
        averages[labels == value, 3 + value] += 3
        averages[labels == value, 8 + value] += 1
    return ProbedRows(averages * np.linspace(0.1, 40, sum(WIDTHS), dtype=np.float32), labels)


@pytest.mark.parametrize("values", [2, 4])
def test_the_depth_that_holds_the_label_is_seen_and_advised(values: int) -> None:
    probed = probe_depths(rows(300, 0, values), rows(200, 1, values), WIDTHS)
    first, second, third = probed.scores
    assert first.auroc < 0.62 < third.auroc < second.auroc
    assert second.auroc > 0.95
    assert probed.joined.auroc > 0.95
    assert advised([score.auroc for score in probed.scores], probed.covariance) == 2
    for score in (*probed.scores, probed.joined):
        assert score.low <= score.auroc <= score.high
    assert probed.covariance.shape == (3, 3)


def test_it_is_the_same_each_time_and_never_moved_by_the_scale_of_a_channel() -> None:
    train, val = rows(120, 2), rows(80, 3)
    first = probe_depths(train, val, WIDTHS)
    again = probe_depths(train, val, WIDTHS)
    assert first.scores == again.scores
    assert np.array_equal(first.covariance, again.covariance)
    doubled = [ProbedRows(part.averages * 2, part.labels) for part in (train, val)]
    assert probe_depths(doubled[0], doubled[1], WIDTHS).scores == first.scores


def test_weights_count_as_copies() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, 50) / 5  # many ties
    positive = rng.random(50) < 0.4
    weights = rng.integers(0, 4, (7, 50)).astype(np.float32)
    expected = [roc_auc_score(positive, scores, sample_weight=weight) for weight in weights]
    assert weighted_auroc(scores, positive, weights) == pytest.approx(expected)


def test_draws_keep_how_many_images_of_each_value_there_are() -> None:
    labels = np.array([0] * 40 + [1])  # one positive image: any other draw would often have none
    scores = np.linspace(0, 1, 41)
    draws = bootstrap([np.stack([1 - scores, scores], 1)], labels, draws=50)
    assert draws.shape == (50, 1)
    assert (draws == 1.0).all()


def test_the_spread_is_that_of_the_theory() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 300)
    scores = rng.normal(size=600) + labels
    draws = bootstrap([np.stack([-scores, scores], 1)], labels)
    auroc = roc_auc_score(labels, scores)
    q1, q2 = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)  # Hanley and McNeil (1982)
    variance = (auroc * (1 - auroc) + 299 * (q1 - auroc**2) + 299 * (q2 - auroc**2)) / 300**2
    assert draws.std() == pytest.approx(variance**0.5, rel=0.15)
    assert draws.mean() == pytest.approx(auroc, abs=0.003)


def test_the_rule_is_one_standard_error_of_the_difference() -> None:
    scores = [0.80, 0.89, 0.91, 0.90]
    alone = np.diag([1e-4] * 4)  # the difference of two has 0.0141
    assert advised(scores, alone) == 3
    assert advised(scores, 2.1 * alone) == 2
    together = 2.1 * alone + 1.9e-4  # what moves all depths alike tells none apart, nor hides a difference
    assert advised(scores, together) == advised(scores, 2.1 * alone)
    assert advised([0.9, 0.9], np.zeros((2, 2))) == 1


def test_several_attributes_are_averaged() -> None:
    scores = [[0.70, 0.90, 0.91], [0.75, 0.93, 0.90]]
    alone = np.diag([1e-6] * 3)
    assert advised_for_all(scores, [alone, alone]) == 2
    assert advised_for_all(scores[:1], [alone]) == 3
