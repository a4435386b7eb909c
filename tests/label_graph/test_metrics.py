"""Measures over many labels, against worked numbers and scikit-learn's."""

import math

import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)
from torch import Tensor

from label_graph.errors import LabelGraphError
from label_graph.metrics import attribute_metrics, average_precisions, label_metrics, mean_average_precision

# Four images, four labels; d has no known positive, and the entry (2, b) is unknown.
PROBABILITIES = torch.tensor([[0.9, 0.6, 0.2, 0.1], [0.8, 0.4, 0.7, 0.6], [0.3, 0.9, 0.1, 0.2], [0.6, 0.2, 0.8, 0.3]])
STATES = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [1, -1, 0, 0], [1, 0, 1, -1]])
# By hand, at 0.5: a predicted in 0, 1, 3 (true 0, 3; missed 2); b in 0 (true; missed 1); c in 1, 3 (both true);
# d in 1 (false).
CP, CR = (2 / 3 + 1 + 1) / 3, (2 / 3 + 1 / 2 + 1) / 3
OP, OR = 5 / 7, 5 / 7


def drawn(seed: int, *, unknown: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randint(-1 if unknown else 0, 2, (40, 5), generator=generator)
    scores = torch.rand(40, 5, generator=generator) * 0.6 + 0.4 * states.clamp(min=0)
    return (scores * 20).round() / 20, states  # rounded: with ties


def test_mean_average_precision_by_hand() -> None:
    # a ranks 1, 0, 1, 1; b (three known) 1, 1, 0; c 1, 1, 0, 0.
    found = average_precisions(PROBABILITIES, STATES)
    assert found[:3].tolist() == pytest.approx([(1 + 2 / 3 + 3 / 4) / 3, 1, 1])
    assert math.isnan(found[3])
    assert mean_average_precision(PROBABILITIES, STATES) == pytest.approx((29 / 36 + 2) / 3)


def test_precision_and_recall_by_hand() -> None:
    found = label_metrics(PROBABILITIES, STATES)
    assert (found.cp, found.cr) == pytest.approx((CP, CR))
    assert found.cf1 == pytest.approx(2 * CP * CR / (CP + CR))
    assert (found.op, found.or_, found.of1) == pytest.approx((OP, OR, 5 / 7))
    assert found.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found.measured == 3


def test_top_labels_by_hand() -> None:
    # The single highest of each image: a, a, b (unknown there, counts nowhere), c.
    found = label_metrics(PROBABILITIES, STATES, top=1)
    assert (found.cp, found.cr) == pytest.approx(((1 / 2 + 0 + 1) / 3, (1 / 3 + 0 + 1 / 2) / 3))
    assert (found.op, found.or_) == pytest.approx((2 / 3, 2 / 7))


def test_top_labels_must_reach_the_threshold_and_ties_go_to_the_first() -> None:
    probabilities = torch.tensor([[0.7, 0.7, 0.7], [0.4, 0.3, 0.2]])
    found = label_metrics(probabilities, torch.tensor([[1, 1, 1], [1, 0, 0]]), top=2)
    assert (found.op, found.or_) == pytest.approx((1, 2 / 4))


def test_each_label_may_have_its_own_threshold() -> None:
    found = label_metrics(PROBABILITIES, STATES, thresholds=torch.tensor([0.25, 0.35, 0.75, 0.65]))
    # a in all four (3 true), b in 0 and 1 (both true), c in 3 (true; missed 1), d nowhere.
    assert (found.op, found.or_) == pytest.approx((6 / 7, 6 / 7))


def test_attribute_measures_by_hand() -> None:
    found = attribute_metrics(PROBABILITIES, STATES)
    # Positives and negatives found: a 2/3 and 0/1, b 1/2 and 1/1, c 1 and 1; d has no positive.
    assert found.mean_accuracy == pytest.approx((1 / 3 + 3 / 4 + 1) / 3)
    # Shown and predicted: {a b}/{a b}, {b c}/{a c d}, {a}/{}, {a c}/{a c}.
    assert found.accuracy == pytest.approx((1 + 1 / 4 + 0 + 1) / 4)
    assert found.precision == pytest.approx((1 + 1 / 3 + 0 + 1) / 4)
    assert found.recall == pytest.approx((1 + 1 / 2 + 0 + 1) / 4)
    assert found.f1 == pytest.approx(2 * found.precision * found.recall / (found.precision + found.recall))
    assert found.images == 4


@pytest.mark.parametrize("seed", range(3))
def test_average_precisions_are_scikit_learns(seed: int) -> None:
    scores, states = drawn(seed, unknown=True)
    found = average_precisions(scores, states)
    for label in range(states.shape[1]):
        known = states[:, label] >= 0
        expected = average_precision_score(states[known, label], scores[known, label])
        assert found[label].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_measures_are_scikit_learns(seed: int) -> None:
    scores, states = drawn(seed, unknown=False)
    scores, states = scores[states.any(dim=1)], states[states.any(dim=1)]
    truth, guess = states.numpy(), (scores >= 0.5).numpy()
    found, attributes = label_metrics(scores, states), attribute_metrics(scores, states)
    assert found.cp == pytest.approx(precision_score(truth, guess, average="macro", zero_division=0))
    assert found.cr == pytest.approx(recall_score(truth, guess, average="macro"))
    assert found.macro_f1 == pytest.approx(f1_score(truth, guess, average="macro"))
    assert found.op == pytest.approx(precision_score(truth, guess, average="micro"))
    assert found.or_ == pytest.approx(recall_score(truth, guess, average="micro"))
    assert found.of1 == pytest.approx(f1_score(truth, guess, average="micro"))
    assert attributes.accuracy == pytest.approx(jaccard_score(truth, guess, average="samples", zero_division=0))
    assert attributes.precision == pytest.approx(precision_score(truth, guess, average="samples", zero_division=0))
    assert attributes.recall == pytest.approx(recall_score(truth, guess, average="samples"))
    balanced = [balanced_accuracy_score(truth[:, label], guess[:, label]) for label in range(5)]
    assert attributes.mean_accuracy == pytest.approx(sum(balanced) / 5)


def test_the_score_of_an_unknown_entry_changes_nothing() -> None:
    other = PROBABILITIES.clone()
    other[2, 1], other[3, 3] = 0, 1
    assert mean_average_precision(other, STATES) == mean_average_precision(PROBABILITIES, STATES)
    assert label_metrics(other, STATES) == label_metrics(PROBABILITIES, STATES)
    assert attribute_metrics(other, STATES) == attribute_metrics(PROBABILITIES, STATES)


def test_a_single_label_and_none_at_all() -> None:
    single = label_metrics(PROBABILITIES[:, :1], STATES[:, :1])
    assert (single.cp, single.or_) == pytest.approx((2 / 3, 2 / 3))
    assert average_precisions(PROBABILITIES[:, :1], STATES[:, :1]).tolist() == pytest.approx([29 / 36])
    nothing = torch.full((4, 4), -1)
    assert math.isnan(mean_average_precision(PROBABILITIES, nothing))
    assert math.isnan(label_metrics(PROBABILITIES, nothing).cf1)
    assert math.isnan(attribute_metrics(PROBABILITIES, nothing).f1)


def test_mistakes_are_named() -> None:
    with pytest.raises(LabelGraphError, match="apply the sigmoid to logits first"):
        label_metrics(PROBABILITIES * 4 - 2, STATES)
    with pytest.raises(LabelGraphError, match="one shape"):
        mean_average_precision(PROBABILITIES, STATES[:, :2])
    with pytest.raises(LabelGraphError, match="top is 0: predict at least one label"):
        label_metrics(PROBABILITIES, STATES, top=0)
