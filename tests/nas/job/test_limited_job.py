"""A whole small search on digits under limits: nothing outside them is run, rewarded, proposed or trained."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from branches.branch import Branch
from branches.costs.architecture import branch_workload
from branches.costs.latency import Latency
from branches.costs.module import macs, parameters
from branches.settings import FitSettings
from foundation.history import read_history
from nas.errors import SearchError
from nas.job.contest import in_turn
from nas.job.pareto import non_dominated
from nas.job.run import run_job
from nas.settings import JobData, JobSettings, SearchSettings
from nas.supernet.supernet import Supernet
from search_spaces import Architecture, macro_space
from tests.nas.killing import killed_after
from tests.untimed import untimed
from trunk.features.source import ArrayFeatures, LabelledFeatures

SHAPE = (4, 4, 4)
SEARCH = SearchSettings(
    epochs=3,
    warmup_epochs=1,
    min_steps=0,
    batch_size=32,
    updates_per_epoch=2,
    samples_per_update=4,
    reward_images=60,
    hidden=8,
)
SETTINGS = JobSettings(
    space=macro_space(2, widths=(4, 8, 16), depths=(1, 2)),
    search=SEARCH,
    retrain=FitSettings(epochs=1, batch_size=32),
    candidates=12,
    retrain_top=3,
    apart=1,
    repeats=2,
    choice="searched",  # these tests follow the search; those of the choice are in test_choice.py
    learning_curve=False,
)
CPU = torch.device("cpu")
COUNTED = replace(SETTINGS, search=replace(SEARCH, max_parameters=400, max_macs=4000))
# Of what this seed proposes without a start at the probe, some is above the limit.
TIMED = replace(
    SETTINGS,
    search=replace(SEARCH, max_parameters=900, max_latency=0.44),
    retrain=replace(SETTINGS.retrain, probe_start=False),
)


@pytest.fixture(scope="module")
def digits() -> JobData:
    """Is it above four? 8 x 8 pictures as four channels of 4 x 4."""
    found = load_digits(n_class=10)
    pictures = found.images.reshape(-1, 4, 2, 4, 2).transpose(0, 2, 4, 1, 3).reshape(-1, *SHAPE).astype(np.float32) / 16
    labels = torch.from_numpy((found.target > 4).astype(np.int64))
    rows = {"train": slice(0, 160), "val": slice(160, 280), "test": slice(280, 400)}
    train, val, test = (LabelledFeatures(ArrayFeatures(pictures[r]), labels[r], 2) for r in rows.values())
    return JobData("above-four", ("no", "yes"), train, val, test)


def run(data: JobData, folder: Path, settings: JobSettings) -> dict[str, Any]:
    return run_job(data, settings, folder=folder, seed=0, device=CPU)[0]


def in_time(architecture: Architecture) -> float:
    """Milliseconds on a made-up device: operations by their calls, and an unsteadiness that no model can see."""
    calls = sum(work.calls for work in branch_workload(architecture, SHAPE, 2).values())
    return 0.02 * calls + (0.2 if int(architecture.identity, 16) % 3 == 0 else 0.0)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measures on the made-up device; the identities of what was measured, in order."""
    asked: list[str] = []

    def fake(modules: Sequence[nn.Module], shape: object, *, batch: int, runs: int, **_: object) -> list[Latency]:
        found = []
        for module in modules:
            milliseconds = in_time(module.architecture) if isinstance(module, Branch) else 0.01
            asked.append(module.architecture.identity if isinstance(module, Branch) else "probe")
            found.append(Latency(milliseconds, milliseconds, milliseconds, runs, batch, "made-up", 1))
        return found

    monkeypatch.setattr("nas.limits.latency.latencies", fake)
    monkeypatch.setattr("nas.limits.latency.latencies", fake)
    return asked


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> set[Architecture]:
    """Every architecture that the supernet ran or that was trained from scratch."""
    found: set[Architecture] = set()
    forward = Supernet.forward

    def watched(self: Supernet, features: torch.Tensor, architecture: Architecture) -> torch.Tensor:
        found.add(architecture)
        return forward(self, features, architecture)

    monkeypatch.setattr(Supernet, "forward", watched)
    return found


def test_nothing_outside_the_limits_is_met_at_any_stage(
    digits: JobData, tmp_path: Path, met: set[Architecture]
) -> None:
    result = run(digits, tmp_path, COUNTED)
    history = read_history(tmp_path / "history.jsonl")
    for record in history:
        met |= {COUNTED.space.architecture(row) for row in record.get("architectures", [])}
        if "architecture" in record:
            met.add(Architecture.from_json(record["architecture"]))
    kinds = {record["kind"] for record in history}
    assert {"controller_update", "candidate", "retraining", "repeat"} <= kinds
    assert len({r["identity"] for r in history if r["kind"] == "retraining" and r["role"] == "random"}) == 3
    assert len(met) > 30
    for architecture in met:
        branch = Branch(architecture, SHAPE, 2)
        assert parameters(branch) <= 400
        assert macs(branch, SHAPE) <= 4000
    assert result["limits"] == {"parameters": 400, "macs": 4000}
    assert "with at most 400 parameters and at most 4,000 MACs" in result["selection"]
    assert result["dropped"] == []


def test_without_limits_some_would_have_been(digits: JobData, tmp_path: Path, met: set[Architecture]) -> None:
    result = run(digits, tmp_path, SETTINGS)
    assert max(parameters(Branch(architecture, SHAPE, 2)) for architecture in met) > 400
    assert result["limits"] == {}
    assert not (tmp_path / "latency_model.json").exists()


def test_what_measures_above_the_latency_limit_is_dropped_before_training(
    digits: JobData, tmp_path: Path, device: list[str]
) -> None:
    result = run(digits, tmp_path, TIMED)
    history = read_history(tmp_path / "history.jsonl")
    proposed = [record["architecture"] for record in json.loads((tmp_path / "candidates.json").read_text())["ranking"]]
    times = [in_time(Architecture.from_json(one)) for one in proposed]
    kept = [Architecture.from_json(one).identity for one, ms in zip(proposed, times, strict=True) if ms <= 0.44][:3]
    retrained = [r for r in history if r["kind"] == "retraining"]
    assert [r["identity"] for r in retrained if r["role"] == "candidate"] == kept
    assert all(in_time(Architecture.from_json(r["architecture"])) <= 0.44 for r in retrained)
    assert {one["role"] for one in result["dropped"]} == {"candidate", "random"}
    for one in result["dropped"]:
        assert one["latency_ms"] > 0.44
        assert "ms, allowed are 0.44" in one["reason"]
    assert 0 < result["latency_ms"] == in_time(Architecture.from_json(result["architecture"])) <= 0.44
    assert result["latency"]["device"] == "made-up"
    assert result["latency"]["batch"] == 1
    assert result["controls"]["linear_probe"]["latency_ms"] == 0.01
    assert "more were dropped, measured outside the limits" in result["selection"]
    assert len(device) == 100 + len(set(device[100:])), "measured once each"


def test_a_latency_that_no_candidate_keeps_is_refused(
    digits: JobData, tmp_path: Path, device: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.nas.job.test_limited_job.in_time", lambda architecture: 0.45 if device[99:] else 0.3)
    with pytest.raises(SearchError, match=r"None of the 12 candidates has at most 900 parameters and at most 0\.44 ms"):
        run(digits, tmp_path, TIMED)


def test_the_front_is_that_of_the_candidates(digits: JobData, tmp_path: Path, device: list[str]) -> None:
    result = run(digits, tmp_path, COUNTED)
    candidates = [r for r in read_history(tmp_path / "history.jsonl") if r["kind"] == "candidate"]
    points = [
        (
            -r["score"],
            r["parameters"],
            r["macs"],
            round(np.log(in_time(Architecture.from_json(r["architecture"]))) / np.log(1.05)),
        )
        for r in candidates
    ]
    expected = {candidates[index]["identity"] for index in non_dominated(points)}
    assert {one["identity"] for one in result["front"]} == expected
    assert 0 < len(expected) < len(candidates)
    sizes = [one["parameters"] for one in result["front"]]
    assert sizes == sorted(sizes)


def test_the_smallest_within_wins_where_that_is_the_rule(digits: JobData, tmp_path: Path) -> None:
    settings = replace(SETTINGS, winner="smallest_within", winner_tolerance=1e3)
    result = run(digits, tmp_path, settings)
    retrained = [r for r in read_history(tmp_path / "history.jsonl") if r["kind"] == "retraining"]
    assert result["parameters"] == min(r["parameters"] for r in retrained if r["role"] == "candidate")
    assert result["controls"]["random"]["parameters"] == min(
        r["parameters"] for r in retrained if r["role"] == "random"
    )
    assert f"the one with the fewest parameters won: {result['parameters']:,} with val auroc" in result["selection"]


@pytest.mark.parametrize("settings", [COUNTED, TIMED], ids=["counted", "timed"])
def test_a_killed_search_under_limits_ends_like_one_that_ran_through(
    digits: JobData, tmp_path: Path, device: list[str], settings: JobSettings
) -> None:
    whole = run(digits, tmp_path / "whole", settings)
    whole_history = untimed(read_history(tmp_path / "whole" / "history.jsonl"))
    for limit in (3, len(whole_history) // 2, len(whole_history) - 3):
        folder = tmp_path / f"killed-{limit}"
        with killed_after(limit):
            run(digits, folder, settings)
        found = run(digits, folder, settings)
        # The made-up device is steady, so that even what is timed agrees.
        for result in (found, whole):
            for key in ("seconds", "created"):
                result.pop(key, None)
        assert found == whole, f"killed after record {limit}"
        assert untimed(read_history(folder / "history.jsonl")) == whole_history
        shutil.rmtree(folder)


def test_what_the_limit_asks_for_is_timed_in_the_rounds_of_what_it_is_set_beside(
    digits: JobData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[set[str]] = []

    def fake(modules: Sequence[nn.Module], shape: object, *, batch: int, runs: int, **_: object) -> list[Latency]:
        named = [module.architecture.identity if isinstance(module, Branch) else "control" for module in modules]
        rounds.append(set(named))
        times = [in_time(module.architecture) if isinstance(module, Branch) else 0.01 for module in modules]
        return [Latency(time, time, time, runs, batch, "made-up", 1) for time in times]

    monkeypatch.setattr("nas.limits.latency.latencies", fake)
    monkeypatch.setattr("nas.limits.latency.FIT_ON", 10)
    result = run(digits, tmp_path, replace(TIMED, random=True))
    with_controls = [named for named in rounds if "control" in named]
    assert len(with_controls) == 1
    sides = {result["identity"], *(record["identity"] for record in result["retrained"] + result["dropped"])}
    sides.add(Architecture.from_json(result["controls"]["random"]["architecture"]).identity)
    assert sides <= with_controls[0]


def test_the_first_of_each_group_are_timed_first() -> None:
    drawn = [SETTINGS.space.random(np.random.default_rng(seed)) for seed in range(6)]
    ordered = in_turn([drawn[:3], [], drawn[3:4], drawn[4:]])
    assert ordered == [drawn[place] for place in (0, 3, 4, 1, 5, 2)]
