"""What other jobs finished is taken over, and the job ends as if it had done all by itself."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from branches.settings import FitSettings
from foundation.history import read_history
from nas.job.reuse.keys import keys_of
from nas.job.run import run_job
from nas.settings import JobData, JobSettings
from tests.nas.conftest import make_split
from tests.nas.job.test_run import SETTINGS, Tail
from tests.nas.killing import killed_after
from tests.untimed import untimed

DATA = JobData("toy", ("no", "yes"), make_split(96, 0), make_split(60, 1), make_split(80, 2), tail=Tail)


def run(folder: Path, settings: JobSettings, *others: Path, data: JobData = DATA) -> dict[str, Any]:
    return run_job(data, settings, folder=folder, seed=0, device=torch.device("cpu"), others=others).record


def compared(record: dict[str, Any]) -> Any:
    """A result without what was timed, and without where it came from."""
    return untimed({key: value for key, value in record.items() if key != "taken_over"})


@pytest.fixture(scope="module", autouse=True)
def hasty() -> Iterator[None]:
    """Intervals and latencies from fewer rounds: nothing here looks at them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nas.job.gains.ROUNDS", 10)
        patch.setattr("nas.job.choosing.winner.ROUNDS", 10)
        patch.setattr("nas.limits.latency.RUNS", 2)
        yield


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("first") / "job"
    run(folder, SETTINGS)
    return folder


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the named parts of a job fail when they are done again."""

    def forbid(*names: str) -> None:
        def refuse(*_arguments: object, **_options: object) -> None:
            raise AssertionError("it was done again")

        for name in names:
            monkeypatch.setattr(name, refuse)

    return forbid


CHILD, RANK = "nas.enas.Search.train_child", "nas.candidates.whole_val_scores"
FIT, PROBE = "nas.job.trainings.fit", "nas.job.trainings.linear_probe"
CHANGES = {
    "fewer of all": (replace(SETTINGS, random=False, repeats=1, tail=None), (CHILD, RANK, FIT, PROBE)),
    "another rule": (
        replace(SETTINGS, choice="best", winner="smallest_within", threshold_by="balanced_accuracy"),
        (CHILD, RANK, PROBE),
    ),
    "more finalists and repeats": (replace(SETTINGS, retrain_top=3, repeats=3), (CHILD, RANK, PROBE)),
    "other trainings": (replace(SETTINGS, retrain=FitSettings(epochs=1, batch_size=32)), (CHILD, RANK, PROBE)),
    "another tail": (replace(SETTINGS, tail=FitSettings(epochs=2, batch_size=32)), (CHILD, RANK, PROBE)),
    "more candidates": (replace(SETTINGS, candidates=8), (CHILD, PROBE)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_setting_does_only_what_is_new(
    change: str, first: Path, tmp_path: Path, idle: Callable[..., None]
) -> None:
    settings, untouched = CHANGES[change]
    alone = run(tmp_path / "alone", settings)
    idle(*untouched)
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    taking = run(tmp_path / "taking", settings, first)
    assert compared(taking) == compared(alone)
    assert taking["taken_over"]["search"] == "job"
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before


def test_other_features_or_another_search_take_nothing(first: Path, tmp_path: Path) -> None:
    flipped = replace(DATA, train=replace(DATA.train, labels=1 - DATA.train.labels))
    assert "taken_over" not in run(tmp_path / "a", SETTINGS, first, data=flipped)
    longer = replace(SETTINGS, search=replace(SETTINGS.search, epochs=3), repeats=1, tail=None)
    taken = run(tmp_path / "b", longer, first)["taken_over"]
    assert "search" not in taken
    assert taken["trainings"]  # the probe, and random architectures, stay what they are


def test_a_kill_while_taking_over_loses_nothing(first: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, tail=None, repeats=1)
    whole = run(tmp_path / "whole", settings, first)
    whole_history = read_history(tmp_path / "whole" / "history.jsonl")
    for limit in range(1, 4):
        folder = tmp_path / f"killed-{limit}"
        with killed_after(limit):
            run(folder, settings, first)
        assert compared(run(folder, settings, first)) == compared(whole)
        assert read_history(folder / "history.jsonl") == whole_history


@pytest.mark.parametrize("last", ["history.jsonl", "search.safetensors", "candidates.json"])
def test_a_kill_while_copying_a_search_loses_nothing(
    last: str, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, tail=None, repeats=1)
    whole = run(tmp_path / "whole", settings)

    class Killed(BaseException):
        pass

    import nas.job.reuse.donors as donors

    real = donors.os.replace

    def killed(source: Any, destination: Any) -> None:
        real(source, destination)
        if Path(destination).name == last:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed)
        with pytest.raises(Killed):
            run(tmp_path / "killed", settings, first)
    assert compared(run(tmp_path / "killed", settings, first)) == compared(whole)


def test_an_unfinished_search_is_continued_in_another_folder(first: Path, tmp_path: Path) -> None:
    with killed_after(2):  # in its second epoch, of two
        run(tmp_path / "unfinished", SETTINGS)
    settings = replace(SETTINGS, tail=None, repeats=1)
    taken = run(tmp_path / "taking", settings, tmp_path / "unfinished")
    assert taken["taken_over"] == {"search": "unfinished"}
    assert compared(taken) == compared(run(tmp_path / "alone", settings, first))


def test_what_is_damaged_is_done_again(first: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, tail=None, repeats=1)
    whole = run(tmp_path / "whole", settings, first)
    for number, name in enumerate(("config.json", "history.jsonl", "search.safetensors")):
        other = tmp_path / f"damaged-{number}"
        shutil.copytree(first, other)
        (other / name).write_bytes((other / name).read_bytes()[:40])
        for training in (other / "trainings").iterdir():
            training.write_bytes(training.read_bytes()[:40])
        assert compared(run(tmp_path / f"job-{number}", settings, other)) == compared(whole)


def test_trials_are_taken_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = replace(SETTINGS, strategy="random", trials=3, trial_epochs=1, random=False, tail=None, repeats=1)
    run(tmp_path / "first", trials)
    more = replace(trials, trials=4)
    alone = run(tmp_path / "alone", more)
    made: list[int] = []
    from nas.strategies import stages

    real = stages.fit
    monkeypatch.setattr(stages, "fit", lambda *args, **options: (made.append(1), real(*args, **options))[1])
    taking = run(tmp_path / "taking", more, tmp_path / "first")
    assert len(made) == 1
    assert compared(taking) == compared(alone)


def test_jobs_from_before_stages_were_written_down_are_known_again(first: Path) -> None:
    config = json.loads((first / "config.json").read_text())
    assert keys_of({key: value for key, value in config.items() if key != "stages"}) == config["stages"]
