"""The score of the best of many is shrunk: on average to what the network is worth, which the best score is not."""

import numpy as np
import pytest

from branches.measures.metrics import REWARDS
from nas.job.choosing.racing import Run
from nas.job.choosing.shrunk import own_variance, shrunk
from nas.job.gains import Spread

LABELS = np.arange(300) % 2


def runs_of(count: int, qualities: list[float], seed: int) -> list[Run]:
    rng = np.random.default_rng(seed)
    runs = []
    for quality in qualities[:count]:
        logits = quality * (2 * LABELS - 1) + rng.normal(size=len(LABELS))
        yes = 1 / (1 + np.exp(-logits))
        table = np.stack([1 - yes, yes], axis=1)
        runs.append(Run(REWARDS["auroc"](table, LABELS), table))
    return runs


def test_the_best_of_equals_is_too_good_and_the_shrunk_score_is_not() -> None:
    truth = np.mean([run.score for seed in range(6) for run in runs_of(8, [1.0] * 8, seed)])
    best, less = [], []
    for seed in range(6):
        runs = runs_of(8, [1.0] * 8, seed)
        top = max(run.score for run in runs)
        found = shrunk(top, runs, LABELS, "auroc", spread=None, seed=0)
        assert found is not None
        assert found.score <= top == found.picked
        best.append(top)
        less.append(found.score)
    assert np.mean(best) - truth > 0.015
    assert abs(np.mean(less) - truth) < (np.mean(best) - truth) / 2


def test_the_formula_is_efrons_and_morriss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.job.choosing.shrunk.own_variance", lambda *_args, **_options: 0.0001)
    runs = [Run(score, np.zeros((1, 2))) for score in (0.80, 0.82, 0.84, 0.86, 0.88)]
    found = shrunk(0.88, runs, LABELS, "auroc", spread=Spread(0.0001, 3), seed=0)
    assert found is not None
    assert found.score == pytest.approx(0.84 + (1 - 2 * 0.0002 / 0.004) * 0.04)
    far_off = shrunk(0.88, runs, LABELS, "auroc", spread=Spread(1.0, 3), seed=0)
    assert far_off is not None
    assert far_off.score == pytest.approx(0.84)  # never past the mean
    assert shrunk(0.88, runs[:3], LABELS, "auroc", spread=None, seed=0) is None


def test_what_the_images_do_to_all_alike_counts_for_nothing() -> None:
    same = runs_of(1, [1.0], 0) * 5
    assert own_variance(same, LABELS, "auroc", seed=0) == pytest.approx(0, abs=1e-12)
    assert own_variance(runs_of(5, [1.0] * 5, 0), LABELS, "auroc", seed=0) > 1e-5
