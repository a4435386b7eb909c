"""Metrics against scikit-learn, ties and several values included."""

import numpy as np
import pytest
from sklearn import metrics as sk

from branches.errors import BranchError
from branches.measures.metrics import REWARDS, best_threshold, measure, paired_bootstrap, pr_points, roc_points


def drawn(seed: int, count: int, values: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(values), rng.integers(values, size=count - values)])
    logits = rng.normal(size=(count, values)) + 1.2 * np.eye(values)[labels]
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    if ties and values == 2:
        positive = np.round(scores[:, 1], 1)
        return np.stack([1 - positive, positive], 1), labels
    return scores, labels


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
def test_two_values_equal_scikit_learn(seed: int, ties: bool) -> None:
    scores, labels = drawn(seed, 60, 2, ties)
    figures = measure(scores, labels, threshold=0.6)
    chosen = scores[:, 1] >= 0.6
    false_alarms = (chosen & (labels == 0)).sum() / (labels == 0).sum()
    assert figures == pytest.approx(
        {
            "auroc": sk.roc_auc_score(labels, scores[:, 1]),
            "average_precision": sk.average_precision_score(labels, scores[:, 1]),
            "accuracy": sk.accuracy_score(labels, chosen),
            "balanced_accuracy": sk.balanced_accuracy_score(labels, chosen),
            "f1": sk.f1_score(labels, chosen),
            "threshold": 0.6,
            "precision": sk.precision_score(labels, chosen),
            "recall": sk.recall_score(labels, chosen),
            "fpr": false_alarms,
        }
    )


@pytest.mark.parametrize("seed", range(4))
def test_several_values_equal_scikit_learn(seed: int) -> None:
    scores, labels = drawn(seed, 90, 4, False)
    figures = measure(scores, labels, threshold=None)
    chosen = scores.argmax(1)
    assert figures["threshold"] is None
    assert figures["auroc"] == pytest.approx(sk.roc_auc_score(labels, scores, multi_class="ovr"))
    assert figures["average_precision"] == pytest.approx(sk.average_precision_score(np.eye(4)[labels], scores))
    assert figures["accuracy"] == pytest.approx(sk.accuracy_score(labels, chosen))
    assert figures["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, chosen))
    for name, function in (("f1", sk.f1_score), ("precision", sk.precision_score), ("recall", sk.recall_score)):
        assert figures[name] == pytest.approx(function(labels, chosen, average="macro"))
    matrices = sk.multilabel_confusion_matrix(labels, chosen)
    assert figures["fpr"] == pytest.approx(np.mean([m[0, 1] / m[0].sum() for m in matrices]))


@pytest.mark.parametrize("name", REWARDS)
@pytest.mark.parametrize("values", [2, 3])
def test_rewards_are_the_figures_of_measure_and_diverged_scores_earn_nothing(name: str, values: int) -> None:
    scores, labels = drawn(3, 50, values, False)
    assert REWARDS[name](scores, labels) == pytest.approx(measure(scores, labels, threshold=None)[name])
    scores[7] = np.nan
    assert REWARDS[name](scores, labels) == 0.0
    with pytest.raises(BranchError, match="diverged"):
        measure(scores, labels, threshold=None)


def test_perfect_scores_and_their_reverse() -> None:
    labels = np.array([0, 0, 1, 1])
    scores = np.stack([1 - labels, labels], 1) * 0.8 + 0.1
    assert REWARDS["auroc"](scores, labels) == 1.0
    assert REWARDS["auroc"](1 - scores, labels) == 0.0
    assert REWARDS["auroc"](np.full((4, 2), 0.5), labels) == 0.5


@pytest.mark.parametrize("by", ["f1", "balanced_accuracy", "accuracy"])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_best_threshold_beats_every_other_threshold(by: str, ties: bool, seed: int) -> None:
    scores, labels = drawn(seed, 40, 2, ties)
    found = best_threshold(scores, labels, by)
    assert 0 <= found <= 1
    best = max(measure(scores, labels, threshold=t)[by] for t in np.linspace(0, 1.01, 1013))  # type: ignore[type-var]
    assert measure(scores, labels, threshold=found)[by] == pytest.approx(best, abs=1e-12)
    assert best_threshold(scores[:, 1], labels, by) == found


def test_best_threshold_lies_half_way_between_the_values() -> None:
    assert best_threshold(np.array([0.1, 0.2, 0.6, 0.9]), np.array([0, 0, 1, 1])) == pytest.approx(0.4)


def test_curves_are_those_of_scikit_learn() -> None:
    scores, labels = drawn(1, 80, 2, False)
    points = roc_points(scores, labels)
    curve = zip(
        *(column.round(9) for column in sk.roc_curve(labels, scores[:, 1], drop_intermediate=False)), strict=True
    )
    found = list(zip(*(np.round(points[key], 9) for key in ("fpr", "tpr", "threshold")), strict=True))
    assert set(found[1:]) <= set(curve)
    assert found[0][:2] == (0, 0)
    assert np.trapezoid(points["tpr"], points["fpr"]) == pytest.approx(REWARDS["auroc"](scores, labels), abs=1e-12)
    points = pr_points(scores, labels)
    precision, recall, threshold = sk.precision_recall_curve(labels, scores[:, 1])
    known = set(zip(recall[:-1].round(9), precision[:-1].round(9), threshold.round(9), strict=True))
    found = list(zip(*(np.round(points[key], 9) for key in ("recall", "precision", "threshold")), strict=True))
    assert set(found) <= known
    assert points["recall"][-1] == 1.0


def test_a_long_curve_is_thinned_and_keeps_its_area() -> None:
    scores, labels = drawn(2, 4000, 2, False)
    points = roc_points(scores, labels, limit=100)
    assert len(points["fpr"]) <= 100
    assert (points["fpr"][0], points["tpr"][0], points["fpr"][-1], points["tpr"][-1]) == (0, 0, 1, 1)
    assert np.trapezoid(points["tpr"], points["fpr"]) == pytest.approx(REWARDS["auroc"](scores, labels), abs=2e-3)


def test_bootstrap_interval_holds_the_difference_and_is_repeatable() -> None:
    better, labels = drawn(4, 300, 2, False)
    worse, _ = drawn(4, 300, 2, False)
    worse = 0.3 * worse + 0.7 * np.random.default_rng(0).permuted(worse, axis=0)
    difference, low, high = paired_bootstrap(better, worse, labels, "auroc", seed=0, rounds=200)
    assert 0 < low < difference < high
    assert difference == REWARDS["auroc"](better, labels) - REWARDS["auroc"](worse, labels)
    assert paired_bootstrap(better, worse, labels, "auroc", seed=0, rounds=200) == (difference, low, high)
    assert paired_bootstrap(better, worse, labels, "auroc", seed=1, rounds=200) != (difference, low, high)
    assert paired_bootstrap(better, better, labels, "accuracy", seed=0, rounds=20) == (0, 0, 0)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.ones((3, 2)) / 2, [0, 1], r"\(3, 2\) and \(2,\)"),
        (np.ones(3) / 2, [0, 1, 0], r"\(3,\) and \(3,\)"),
        (np.ones((3, 2)) / 2, [0, 1, 2], r"0\.\.1"),
        (np.ones((3, 2)) / 2, [1, 1, 1], "all have one value"),
    ],
)
def test_mistakes_are_named(scores: np.ndarray, labels: list[int], message: str) -> None:
    with pytest.raises(BranchError, match=message):
        measure(scores, labels, threshold=None)
