"""The job of a branch by hand: its records, its resuming, and that nothing else decides."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from branches.costs.module import parameters
from branches.settings import FitSettings
from foundation.history import read_history
from nas.errors import SearchError
from nas.job.run import run_job
from nas.settings import BY_HAND, JobData, JobSettings, SearchSettings
from search_spaces import tail_space
from tests.nas.job.test_run import Tail
from tests.nas.killing import killed_after
from tests.untimed import untimed

SETTINGS = JobSettings(
    space=tail_space(4, backbone="toy", blocks=(5,), poolings=("average",)),
    search=SearchSettings(),
    strategy=BY_HAND,
    retrain=FitSettings(epochs=2, batch_size=32),
    repeats=2,
    random=False,
    tail=FitSettings(epochs=1, batch_size=32),
)
CPU = torch.device("cpu")


class Short(Tail):
    """A stand-in for the blocks that were chosen: fewer than the tail has."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__(generator)
        self[0], self[1], self[-1] = torch.nn.Conv2d(6, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2)
        for weight in self.parameters():
            if weight.dim() > 1:
                torch.nn.init.normal_(weight, std=0.3, generator=generator)
            else:
                torch.nn.init.constant_(weight, 0.5)


@pytest.fixture
def given(data: JobData) -> JobData:
    return replace(data, tail=Tail, chosen=Short)


def test_the_records_are_those_of_a_search(given: JobData, tmp_path: Path) -> None:
    result, branch = run_job(given, SETTINGS, folder=tmp_path, seed=0, device=CPU)
    assert isinstance(branch, Short)
    assert result["architecture"] == SETTINGS.space.architecture((0, 0, 0)).to_json()
    assert set(result["controls"]) == {"linear_probe", "tail"}
    assert set(result["gain"]) == {"over_linear_probe", "over_tail"}
    assert result["parameters"] == parameters(branch)
    assert result["tail_parameters"] == parameters(Tail(torch.Generator()))
    assert result["parameter_reduction"] == 1 - parameters(branch) / result["tail_parameters"]
    assert len(result["repeats"]["winner"]["seeds"]) == 2
    assert result["latency_ms"] > 0 < result["tail_latency_ms"]
    assert "chosen by hand and not searched: block 4 of toy, average pooling" in result["selection"]
    assert "random" not in result["verdict"]
    kinds = [record["kind"] for record in read_history(tmp_path / "history.jsonl")]
    assert kinds == ["retraining", "repeat", "control", "control"]


def test_a_killed_job_ends_like_one_that_ran_through(given: JobData, tmp_path: Path) -> None:
    whole, branch = run_job(given, SETTINGS, folder=tmp_path / "whole", seed=0, device=CPU)
    for limit in range(1, 5):
        folder = tmp_path / f"killed-{limit}"
        with killed_after(limit):
            run_job(given, SETTINGS, folder=folder, seed=0, device=CPU)
        result, resumed = run_job(given, SETTINGS, folder=folder, seed=0, device=CPU)
        assert untimed(result) == untimed(whole), f"killed after record {limit}"
        assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), branch.parameters(), strict=True))
        shutil.rmtree(folder)


def test_the_whole_tail_has_no_tail_beside_it_and_costs_what_it_costs(given: JobData, tmp_path: Path) -> None:
    settings = replace(SETTINGS, tail=None, repeats=1)
    result, _ = run_job(replace(given, chosen=Tail), settings, folder=tmp_path, seed=0, device=CPU)
    assert set(result["controls"]) == {"linear_probe"}
    assert result["parameter_reduction"] == 0.0


def test_without_a_builder_or_with_a_choice_left_nothing_runs(data: JobData, given: JobData, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="needs its builder"):
        run_job(data, SETTINGS, folder=tmp_path, seed=0, device=CPU)
    open_space = replace(SETTINGS, space=tail_space(4, backbone="toy", blocks=(5, 6)))
    with pytest.raises(SearchError, match="a space of one choice, of 4"):
        run_job(given, open_space, folder=tmp_path, seed=0, device=CPU)
