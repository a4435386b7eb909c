import numpy as np
import pytest

from branches.measures.metrics import accuracy, auroc
from nas.job.choosing.winner import Entry, choose, standard_error

LABELS = np.arange(400) % 2


def scores(strength: float, seed: int = 0) -> np.ndarray:
    positive = 1 / (1 + np.exp(-strength * LABELS - np.random.default_rng(seed).normal(size=len(LABELS))))
    return np.stack([1 - positive, positive], 1)


def entry(strength: float, parameters: int) -> Entry:
    found = scores(strength)
    return Entry(auroc(found, LABELS), found, parameters)


ENTRIES = [entry(2.0, 500), entry(1.98, 300), entry(1.97, 300), entry(1.0, 10)]


def test_the_best_wins_and_of_equals_the_smaller() -> None:
    assert choose(ENTRIES, LABELS, "auroc", rule="best", tolerance=1.0, seed=0).position == 0
    twins = [*ENTRIES, entry(2.0, 499), entry(2.0, 499)]
    found = choose(twins, LABELS, "auroc", rule="best", tolerance=1.0, seed=0)
    assert found.position == 4
    assert f"best val auroc, {ENTRIES[0].score:.4f}" in found.reason


def test_the_smallest_within_the_tolerance_wins() -> None:
    found = choose(ENTRIES, LABELS, "auroc", rule="smallest_within", tolerance=1.0, seed=0)
    assert found.position == 1  # as small as the next one, and better; the smallest of all is too bad
    margin = standard_error(ENTRIES[0].probabilities, LABELS, "auroc", seed=0)
    assert ENTRIES[0].score - margin > ENTRIES[3].score
    assert f"of the 3 within {margin:.4f} of the best val auroc" in found.reason
    assert f"300 with val auroc {ENTRIES[1].score:.4f}, where the best has 500" in found.reason
    assert choose(ENTRIES, LABELS, "auroc", rule="smallest_within", tolerance=0.0, seed=0).position == 0
    assert choose(ENTRIES, LABELS, "auroc", rule="smallest_within", tolerance=1e3, seed=0).position == 3


def test_the_standard_error_is_that_of_a_share_and_of_an_area() -> None:
    found = scores(1.0)
    right = (found.argmax(1) == LABELS).reshape(-1, 2)  # columns: the two values
    share = right.mean(0)
    exact = np.sqrt((share * (1 - share) / len(right)).sum()) / 2  # both values are drawn by themselves
    assert accuracy(found, LABELS) == pytest.approx(share.mean())
    assert standard_error(found, LABELS, "accuracy", seed=1) == pytest.approx(exact, rel=0.15)
    # DeLong, DeLong, Clarke-Pearson, 1988
    positive, negative = found[LABELS == 1, 1], found[LABELS == 0, 1]
    wins = positive[:, None] > negative[None]
    variance = wins.mean(1).var(ddof=1) / len(positive) + wins.mean(0).var(ddof=1) / len(negative)
    assert standard_error(found, LABELS, "auroc", seed=1) == pytest.approx(np.sqrt(variance), rel=0.15)
