import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from branches.branch import Branch
from branches.costs.module import parameters
from branches.measures.metrics import REWARDS, best_threshold, measure, title_of
from branches.saved import load_branch
from branches.settings import FitSettings
from branches.training import predict_scores
from foundation.history import read_history
from nas.errors import SearchError
from nas.job.pictures import NO_IMAGES
from nas.job.run import run_job
from nas.settings import JobData, JobSettings, SearchSettings
from reports.result_schema import check_result
from search_spaces import macro_space
from tests.nas.killing import killed_after
from tests.untimed import untimed

SETTINGS = JobSettings(
    space=macro_space(2, widths=(4,)),
    search=SearchSettings(
        epochs=2, warmup_epochs=1, min_steps=0, batch_size=32, updates_per_epoch=1, samples_per_update=3, hidden=8
    ),
    retrain=FitSettings(epochs=2, batch_size=32),
    candidates=6,
    retrain_top=2,
    repeats=2,
    tail=FitSettings(epochs=1, batch_size=32),
    choice="searched",  # these tests follow the search; those of the choice are in test_choice.py
    learning_curve=False,
)


class Tail(nn.Sequential):
    """A stand-in for a backbone's last blocks."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__(
            nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.append(nn.Linear(8, 2))
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=0.2, generator=generator)
            else:
                nn.init.constant_(weight, 0.5)


def run(data: JobData, folder: Path, settings: JobSettings = SETTINGS, seed: int = 0) -> tuple[dict[str, Any], Branch]:
    result, branch = run_job(data, settings, folder=folder, seed=seed, device=torch.device("cpu"))
    assert isinstance(branch, Branch)
    return result, branch


@pytest.fixture
def with_tail(data: JobData) -> JobData:
    return replace(data, tail=Tail)


def test_the_result_agrees_with_the_branch_it_comes_with(with_tail: JobData, tmp_path: Path) -> None:
    result, branch = run(with_tail, tmp_path)
    assert with_tail.test is not None
    val = predict_scores(branch, with_tail.val.features)
    threshold = best_threshold(val, with_tail.val.labels.numpy())
    assert result["val"] == measure(val, with_tail.val.labels.numpy(), threshold=threshold)
    test = predict_scores(branch, with_tail.test.features)
    assert result["test"] == measure(test, with_tail.test.labels.numpy(), threshold=threshold)
    assert result["architecture"] == branch.architecture.to_json()
    assert result["parameters"] == parameters(branch)
    assert result["tail_parameters"] == sum(weight.numel() for weight in Tail(torch.Generator()).parameters())
    assert result["parameter_reduction"] == pytest.approx(1 - result["parameters"] / result["tail_parameters"])
    assert set(result["controls"]) == {"random", "linear_probe", "tail"}
    assert set(result["gain"]) == {"over_random", "over_linear_probe", "over_tail"}
    assert [len(result["repeats"][name]["test_auroc"]) for name in ("winner", "random", "linear_probe", "tail")] == [
        2,
        2,
        1,
        1,
    ]
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_the_winner_is_the_best_of_the_retrained_by_val(with_tail: JobData, tmp_path: Path) -> None:
    result, _ = run(with_tail, tmp_path)
    retrained = [r for r in read_history(tmp_path / "history.jsonl") if r["kind"] == "retraining"]
    scores = {r["identity"]: r["val"]["auroc"] for r in retrained if r["role"] == "candidate"}
    assert len(scores) == 2
    assert scores[result["identity"]] == max(scores.values()) == result["val"]["auroc"]
    randoms = [r["val"]["auroc"] for r in retrained if r["role"] == "random"]
    assert result["controls"]["random"]["val"]["auroc"] == max(randoms)
    assert len(randoms) == len(scores)


def test_test_labels_do_not_choose(with_tail: JobData, tmp_path: Path) -> None:
    first, _ = run(with_tail, tmp_path / "a")
    assert with_tail.test is not None
    flipped = replace(with_tail, test=replace(with_tail.test, labels=1 - with_tail.test.labels))
    second, _ = run(flipped, tmp_path / "b")
    assert first["architecture"] == second["architecture"]
    assert first["val"] == second["val"]
    assert first["test"] != second["test"]


def test_a_killed_job_ends_like_one_that_ran_through(with_tail: JobData, tmp_path: Path) -> None:
    whole, branch = run(with_tail, tmp_path / "whole")
    whole_history = untimed(read_history(tmp_path / "whole" / "history.jsonl"))
    for limit in range(1, len(whole_history) + 1, 2):
        folder = tmp_path / f"killed-{limit}"
        with killed_after(limit):
            run(with_tail, folder)
        result, resumed = run(with_tail, folder)
        assert untimed(result) == untimed(whole), f"killed after record {limit}"
        assert untimed(read_history(folder / "history.jsonl")) == whole_history
        assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), branch.parameters(), strict=True))
        shutil.rmtree(folder)


def test_a_finished_job_trains_nothing_again(
    with_tail: JobData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = run(with_tail, tmp_path)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("something was trained again")

    monkeypatch.setattr("nas.job.trainings.fit", refuse)
    monkeypatch.setattr("nas.job.trainings.linear_probe", refuse)
    assert run(with_tail, tmp_path)[0] == first


def test_the_folder_is_that_of_a_finished_search(data: JobData, tmp_path: Path) -> None:
    first = run_job(data, SETTINGS, folder=tmp_path, seed=0, device=torch.device("cpu"))
    check_result(tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text()) == first.record
    assert json.loads((tmp_path / "architecture.json").read_text()) == first.record["architecture"]
    kept, record = load_branch(tmp_path / "branch")
    assert all(torch.equal(a, b) for a, b in zip(kept.parameters(), first.branch.parameters(), strict=True))
    assert (record.attribute, record.values, record.threshold) == (
        "toy",
        ("no", "yes"),
        first.record["val"]["threshold"],
    )
    assert json.loads((tmp_path / "pictures.json").read_text()) == {"missing": [NO_IMAGES]}
    again = run_job(data, SETTINGS, folder=tmp_path, seed=0, device=torch.device("cpu"))
    assert again.record == first.record
    assert {name: scores.tolist() for name, scores in again.scores.items()} == {
        name: scores.tolist() for name, scores in first.scores.items()
    }


def test_the_folder_of_another_job_is_refused(data: JobData, tmp_path: Path) -> None:
    run(data, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(SearchError, match="another seed; name another folder"):
        run(data, tmp_path, seed=1)
    with pytest.raises(SearchError, match="another settings"):
        run(data, tmp_path, replace(SETTINGS, candidates=7))
    with pytest.raises(SearchError, match="another data"):
        run(replace(data, val=replace(data.val, labels=1 - data.val.labels)), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_seeds_decide(data: JobData, tmp_path: Path) -> None:
    results = [run(data, tmp_path / str(n), seed=seed)[0] for n, seed in enumerate((3, 3, 4))]
    assert untimed(results[0]) == untimed(results[1])
    histories = [untimed(read_history(tmp_path / str(n) / "history.jsonl")) for n in range(3)]
    assert histories[0] == histories[1] != histories[2]


def test_controls_and_test_may_be_left_out(data: JobData, tmp_path: Path) -> None:
    settings = replace(SETTINGS, random=False, probe=False, tail=None, repeats=1)
    result, _ = run(replace(data, test=None), tmp_path, settings)
    assert result["controls"] == {}
    assert result["test"] is None
    assert result["gain"] == {}
    assert result["tail_parameters"] is None
    assert "no test split" in result["verdict"]


@pytest.mark.parametrize("reward", REWARDS)
def test_every_reward_can_be_searched_with(data: JobData, tmp_path: Path, reward: str) -> None:
    search, retrain = replace(SETTINGS.search, reward=reward), replace(SETTINGS.retrain, metric=reward)
    settings = replace(SETTINGS, search=search, retrain=retrain, winner="smallest_within", tail=None)
    result, _ = run(data, tmp_path, settings)
    for split in ("val", "test"):
        assert 0 <= result[split][reward] <= 1
        assert all(len(side[f"{split}_{reward}"]) >= 1 for side in result["repeats"].values())
    assert f"test {title_of(reward)} {result['test_interval']['mean']:.4f} [" in result["verdict"]
