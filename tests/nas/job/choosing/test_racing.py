"""A race keeps who is good, spends less on who is not, and near equals are trained again before one wins."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from foundation.history import read_history
from nas.job.choosing.racing import Run, near_best, race, rungs
from nas.job.run import run_job
from nas.settings import JobData
from tests.nas.job.test_run import SETTINGS

LABELS = np.arange(200) % 2


def run_of(quality: float, seed: int = 0) -> Run:
    """A training whose scores tell the values apart the better, the higher its quality."""
    from branches.measures.metrics import REWARDS

    noise = np.random.default_rng(seed).normal(size=len(LABELS))
    yes = 1 / (1 + np.exp(-(quality * (2 * LABELS - 1) + noise)))
    scores = np.stack([1 - yes, yes], axis=1)
    return Run(REWARDS["auroc"](scores, LABELS), scores)


def raced(qualities: list[float], finalists: int) -> tuple[list[int], list[tuple[int, int, int]]]:
    asked: list[tuple[int, int, int]] = []

    def train(rung: int, runner: int, epochs: int) -> Run:
        asked.append((rung, runner, epochs))
        return run_of(qualities[runner])

    left = race(range(len(qualities)), finalists, 8, train, LABELS, "auroc", seed=0)
    return left, asked


def test_half_are_left_after_each_rung_which_is_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.job.choosing.racing.BEHIND", 100.0)
    qualities = [1.00, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07]
    left, asked = raced(qualities, 2)
    assert left == [6, 7]
    assert [(rung, epochs) for rung, _, epochs in asked] == [(0, 2)] * 8 + [(1, 4)] * 4
    assert {runner for rung, runner, _ in asked if rung == 1} == {4, 5, 6, 7}


def test_who_is_far_behind_is_not_trained_on() -> None:
    left, asked = raced([0.2, 2.0, 0.1, 0.2, 0.1, 0.2, 0.1, 0.2], 2)
    assert left == [1]
    assert len(asked) == 8


def test_few_do_not_race() -> None:
    assert raced([1.0, 2.0], 4) == ([0, 1], [])
    assert rungs(64, 1, 12)[0] == 2  # never shorter than an eighth


def test_near_equals_are_told_by_the_paired_error() -> None:
    runs = [run_of(1.0, seed=1), run_of(1.0, seed=2), run_of(0.2, seed=3)]
    assert near_best(runs, LABELS, "auroc", seed=0) == [0, 1]


def test_a_job_races_and_trains_near_equals_again(
    data: JobData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.job.choosing.racing.BEHIND", 100.0)
    monkeypatch.setattr("nas.job.choosing.racing.NEAR", 100.0)
    monkeypatch.setattr("nas.job.gains.ROUNDS", 10)
    monkeypatch.setattr("nas.limits.latency.RUNS", 2)
    settings = replace(SETTINGS, finalists=4, near_trainings=2, repeats=2, probe=False)
    result, _ = run_job(data, settings, folder=tmp_path, seed=0, device=torch.device("cpu"))
    records = read_history(tmp_path / "history.jsonl")
    kinds = [record["kind"] for record in records]
    assert [kinds.count(kind) for kind in ("race", "retraining", "repeat")] == [8, 4, 4]
    raced = {
        role: [r for r in records if r["kind"] == "race" and r["role"] == role] for role in ("candidate", "random")
    }
    for role, runs in raced.items():
        assert {len(run["curve"]) for run in runs} == {1}  # of two epochs
        best = sorted(runs, key=lambda run: -run["val"]["auroc"])[:2]
        trained = [r["identity"] for r in records if r["kind"] == "retraining" and r["role"] == role]
        assert sorted(trained) == sorted(run["identity"] for run in best)
    means = {}
    for record in records:
        if record["kind"] in ("retraining", "repeat") and record.get("role", record.get("of")) in (
            "candidate",
            "winner",
        ):
            means.setdefault(record["identity"], []).append(record["val"]["auroc"])
    assert {len(scores) for scores in means.values()} == {2}
    assert result["identity"] == max(means, key=lambda identity: np.mean(means[identity]))
    assert "2 near equals were trained 2 times" in result["selection"]
    assert "raced by short trainings, and 2 of them were trained from scratch" in result["selection"]
