"""Val chooses the result among all that a job trained, and what it did not choose is kept beside it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from branches.measures.metrics import Scores, auroc, measure
from branches.probe import LinearProbe
from branches.saved import load_branch
from branches.training import predict_scores
from foundation.bounds import recorded
from nas.job.choosing.choice import choose_kind
from nas.job.results import Contestant
from nas.job.run import run_job
from nas.job.trainings import Trained
from nas.settings import JobData, JobSettings, SearchSettings
from reports.result_schema import check_result
from tests.nas.job.test_run import SETTINGS, Tail
from trunk.features.source import ArrayFeatures, LabelledFeatures

OPEN = replace(SETTINGS, choice="cheapest_within")
CPU = torch.device("cpu")


def told_by_averages(count: int, seed: int) -> LabelledFeatures:
    """Features that their averages alone tell apart, so that a linear probe is as good as anything."""
    labels = np.arange(count) % 2
    features = np.random.default_rng(seed).normal(size=(count, 6, 3, 3)).astype(np.float32)
    features[:, 0] += 0.5 * labels[:, None, None]
    return LabelledFeatures(ArrayFeatures(features), torch.from_numpy(labels), 2)


@pytest.fixture
def averages() -> JobData:
    return JobData("toy", ("no", "yes"), told_by_averages(96, 0), told_by_averages(60, 1), told_by_averages(80, 2))


def contestant(key: str, strength: float, parameters: int, data: JobData) -> Contestant:
    labels = data.val.labels.numpy()
    noise = np.random.default_rng(0).normal(size=len(labels))
    positive = 1 / (1 + np.exp(-strength * labels - noise))
    scores: Scores = np.stack([1 - positive, positive], 1)
    record = {"val": measure(scores, labels, threshold=0.5), "parameters": parameters, "seed": 0}
    return Contestant([Trained(nn.Identity(), scores, record)], parameters, 10 * parameters, key=key)


def chosen(data: JobData, sides: dict[str, tuple[float, int]], settings: JobSettings = OPEN, **how: Any) -> str:
    contestants = {key: contestant(key, *side, data) for key, side in sides.items()}
    latency = how.get("latency", {})
    return choose_kind(data, settings, contestants, seed=0, latency_ms=latency.get).key


SIDES = {"searched": (2.0, 500), "random": (1.99, 400), "linear_probe": (0.5, 20)}


def test_the_cheapest_within_a_standard_error_is_chosen(data: JobData) -> None:
    assert chosen(data, SIDES) == "random"  # the probe is cheaper still, and too bad
    assert chosen(data, SIDES, replace(OPEN, choice="best")) == "searched"
    assert chosen(data, SIDES, replace(OPEN, choice_tolerance=0.0)) == "searched"
    assert chosen(data, SIDES, replace(OPEN, choice_tolerance=1e3)) == "linear_probe"
    assert chosen(data, SIDES, SETTINGS) == "searched"


def test_what_val_calls_better_than_the_search_is_the_result(data: JobData) -> None:
    assert chosen(data, {**SIDES, "random": (4.0, 900)}) == "random"
    assert chosen(data, {**SIDES, "linear_probe": (4.0, 20)}) == "linear_probe"
    assert chosen(data, {**SIDES, "local": (4.0, 900)}) == "local"


def test_a_tail_is_chosen_only_where_it_can_be_built_again(data: JobData) -> None:
    sides = {**SIDES, "tail": (9.0, 10_000)}
    assert chosen(data, sides) == "random"
    assert chosen(replace(data, backbone="toy"), sides) == "tail"


def test_what_breaks_a_limit_is_not_chosen(data: JobData) -> None:
    sides = {**SIDES, "linear_probe": (9.0, 20), "random": (4.0, 600)}
    assert chosen(data, sides, replace(OPEN, search=SearchSettings(max_parameters=10))) == "searched"
    assert chosen(data, sides, replace(OPEN, search=SearchSettings(max_parameters=30))) == "linear_probe"
    slow = {"linear_probe": 3.0, "random": 1.0}
    assert chosen(data, sides, replace(OPEN, search=SearchSettings(max_latency=2.0)), latency=slow) == "random"


def test_the_reason_has_the_figures(data: JobData) -> None:
    contestants = {key: contestant(key, *side, data) for key, side in SIDES.items()}
    choice = choose_kind(data, OPEN, contestants, seed=0, latency_ms=lambda _: None)
    best = auroc(contestants["searched"].trainings[0].val_scores, data.val.labels.numpy())
    assert "val then chose the best random branch before the searched branch and the linear probe" in choice.reason
    assert f"of the best, the searched branch with 500 and {best:.4f}" in choice.reason
    record = choice.record(OPEN)
    assert (record["kind"], record["rule"], record["tolerance"]) == ("random", "cheapest_within", 1.0)
    assert set(record["val"]) == {"searched", "random", "probe"}
    assert record["cheapest"]
    assert record["val"]["searched"]["behind"] == 0.0


def test_a_chosen_probe_is_the_result_and_all_others_are_kept(averages: JobData, tmp_path: Path) -> None:
    job = replace(averages, tail=Tail)
    settings = replace(OPEN, choice_tolerance=1e3)
    result, branch = run_job(job, settings, folder=tmp_path, seed=0, device=CPU)
    assert isinstance(branch, LinearProbe)
    assert result["kind"] == result["choice"]["kind"] == "probe"
    assert result["architecture"] == {"linear_probe": True}
    assert result["parameters"] == 14
    assert set(result["controls"]) == {"searched", "random", "tail"}
    assert set(result["gain"]) == {"over_searched", "over_random", "over_tail"}
    assert set(result["search_gain"]) == set(result["gain"]["over_searched"])
    assert "the linear probe" in result["verdict"].split(":")[0]
    check_result(tmp_path / "result.json")
    assert json.loads((tmp_path / "architecture.json").read_text()) == {"linear_probe": True}
    kept, record = load_branch(tmp_path / "branch")
    assert (record.kind, record.threshold) == ("linear_probe", result["val"]["threshold"])
    assert job.test is not None
    test = measure(predict_scores(kept, job.test.features), job.test.labels.numpy(), threshold=record.threshold)
    assert test == result["test"]
    # The tail has no backbone that names it, so that it cannot be built again.
    assert sorted(path.name for path in (tmp_path / "choices").iterdir()) == ["random", "searched"]
    for name in ("random", "searched"):
        module, record = load_branch(tmp_path / "choices" / name)
        figures = predict_scores(module, job.test.features), job.test.labels.numpy()
        assert measure(*figures, threshold=record.threshold) == result["controls"][name]["test"]
        assert record.calibration is not None


def test_what_was_chosen_does_not_depend_on_test_labels(averages: JobData, tmp_path: Path) -> None:
    first, _ = run_job(averages, OPEN, folder=tmp_path / "a", seed=0, device=CPU)
    assert averages.test is not None
    flipped = replace(averages, test=replace(averages.test, labels=1 - averages.test.labels))
    second, _ = run_job(flipped, OPEN, folder=tmp_path / "b", seed=0, device=CPU)
    assert (first["kind"], first["choice"], first["val"]) == (second["kind"], second["choice"], second["val"])


def test_the_rule_leaves_the_name_of_earlier_searches() -> None:
    before = recorded(JobSettings(SETTINGS.space))
    assert "choice" not in before
    assert "choice_tolerance" not in before
    assert recorded(SETTINGS)["choice"] == "searched"
