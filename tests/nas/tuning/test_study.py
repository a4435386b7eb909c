"""Studies: what is tried first, repeated, continued, retried, stopped early; by one worker or several."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas.errors import SearchError
from nas.tuning import study as tuning
from nas.tuning.knobs import Knob, asked, nearest, rounded
from nas.tuning.records import study_record, trial_records
from nas.tuning.slots import TRIES, VOID, owner, reap, slot_states
from nas.tuning.storage import open_storage, sqlite_url
from nas.tuning.study import Peer, open_study, run_study, settled_count, unpromising
from tests.nas.studying import FIRST, KNOBS, Arithmetic, unsynced


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with unsynced():
        yield


class KilledError(BaseException):
    """Not an Exception, so that neither the study nor Optuna handles it: the trial stays as a kill leaves it."""


def begin(folder: Path, objective: Arithmetic = Arithmetic(), *, seed: int = 0) -> optuna.Study:  # noqa: B008 - frozen
    return open_study(open_storage(sqlite_url(folder / "studies.db")), "study", objective, seed=seed)


def ran(folder: Path, trials: int, *, seed: int = 0, objective: Arithmetic = Arithmetic()) -> list[dict[str, Any]]:  # noqa: B008 - frozen
    study = begin(folder, objective, seed=seed)
    run_study(study, objective, trials=trials, seed=seed)
    return told(study, trials)


def told(study: optuna.Study, trials: int) -> list[dict[str, Any]]:
    """The study's trials without what another run may have otherwise."""
    records = trial_records(study, trials)
    return [{k: v for k, v in one.items() if k not in ("seconds", "worker", "number", "killed")} for one in records]


def killed_in(
    folder: Path, trial: int, monkeypatch: pytest.MonkeyPatch, *, by: type[BaseException] = KilledError
) -> None:
    """Run a study whose process dies in the middle of this trial."""
    count = 0

    class Dying(Arithmetic):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count > trial:
                raise by
            return super().__call__(*arguments, **options)

    with monkeypatch.context() as patch:
        host, _, start = owner().split("/")
        patch.setattr(tuning, "owner", lambda: f"{host}/{2**22 + 1}/{start}")  # no process has this number
        with pytest.raises(by):
            run_study(begin(folder, Dying()), Dying(), trials=13, seed=0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The trials of a study that ran through."""
    return ran(tmp_path_factory.mktemp("whole"), 13)


def test_the_first_trial_has_the_projects_setting_and_only_knobs_that_matter_are_asked(
    whole: list[dict[str, Any]],
) -> None:
    assert whole[0]["setting"] == FIRST
    for one in whole:
        assert ("nodes" in one["setting"]) == (one["setting"]["space"] == "macro")
    assert {one["setting"]["space"] for one in whole} == {"macro", "tail"}
    assert [one["trial"] for one in whole] == list(range(13))


def test_a_seed_repeats_a_study_and_another_one_does_not(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    assert ran(tmp_path / "again", 13) == whole
    other = ran(tmp_path / "other", 4, seed=1)
    assert [one["setting"] for one in other[1:]] != [one["setting"] for one in whole[1:4]]
    assert other[0]["setting"] == whole[0]["setting"]


def test_a_study_continues_to_the_total(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    assert ran(tmp_path, 7) == whole[:7]
    assert ran(tmp_path, 13) == whole
    assert ran(tmp_path, 13) == whole  # nothing is left to do
    assert len(begin(tmp_path).trials) == 13


@pytest.mark.parametrize("by", [KilledError, KeyboardInterrupt])
def test_a_killed_study_continues_as_if_it_had_not_been(
    whole: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: type[BaseException]
) -> None:
    for trial in (0, 4, 7, 0):  # so many trials before each death: the last dies in the trial that it takes up again
        killed_in(tmp_path, trial, monkeypatch, by=by)
    assert ran(tmp_path, 13) == whole
    study = begin(tmp_path)
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.FAIL) == 4
    assert len(states) == 17
    tries = 0 if by is KeyboardInterrupt else 4  # an interruption says nothing against the setting
    assert sum(one["killed"] for one in trial_records(study, 13)) == tries


def test_a_setting_that_ends_every_process_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(TRIES):
        killed_in(tmp_path, 0, monkeypatch)
    found = ran(tmp_path, 5)
    assert [one["trial"] for one in found] == [1, 2, 3, 4]
    record = study_record(
        begin(tmp_path), total=5, seed=0, metric="auroc", second="parameters", rule="best", tolerance=1
    )
    assert record["given_up"] == [0]
    assert record["settled"] == 5


def test_an_error_in_a_trial_is_raised_and_the_trial_tried_again(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    class Broken(Arithmetic):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        run_study(begin(tmp_path, Broken()), Broken(), trials=5, seed=0)
    assert ran(tmp_path, 5) == whole[:5]


def test_a_trial_of_another_machine_is_taken_up_when_it_is_silent_and_not_before(
    whole: list[dict[str, Any]], tmp_path: Path
) -> None:
    study = begin(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are for optimize
        elsewhere = study.ask()
    elsewhere.set_user_attr("owner", "elsewhere/1/1")
    storage = open_storage(sqlite_url(tmp_path / "studies.db"))
    storage.record_heartbeat(elsewhere._trial_id)
    with tuning.quiet():
        reap(study)
    assert slot_states(study.trials, 5).busy == {0}
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')")
    with tuning.quiet():
        reap(study)
    assert slot_states(study.trials, 5).lost == (0,)
    assert ran(tmp_path, 5) == whole[:5]


def test_a_worker_that_others_took_for_dead_goes_on(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    others = begin(tmp_path)

    class Slow(Arithmetic):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            if len(others.trials) == 2:  # in its second trial
                others.tell(1, state=TrialState.FAIL)
            return super().__call__(*arguments, **options)

    run_study(begin(tmp_path, Slow()), Slow(), trials=4, seed=0)
    assert told(others, 4) == whole[:4]


def test_what_another_worker_has_in_hand_or_is_too_many_is_left(tmp_path: Path) -> None:
    study = begin(tmp_path)
    study.enqueue_trial(dict(FIRST), user_attrs={"slot": 0})
    study.enqueue_trial(dict(FIRST), user_attrs={"slot": 0})  # two workers queued the same lost trial
    study.enqueue_trial(dict(FIRST), user_attrs={"slot": 3})  # there is no such slot any more
    objective = Arithmetic()
    run_study(study, objective, trials=3, seed=0)
    states = {trial.number: trial.state for trial in study.trials}
    assert states[1] == states[2] == TrialState.FAIL
    assert all(study.trials[number].user_attrs[VOID] == "surplus" for number in (1, 2))
    assert settled_count(study, 3) == 3
    assert [one["trial"] for one in trial_records(study, 3)] == [0, 1, 2]
    run_study(study, objective, trials=5, seed=0)
    assert [one["trial"] for one in trial_records(study, 5)] == [0, 1, 2, 3, 4]


def test_trials_that_finished_trials_of_no_greater_cost_outdo_are_stopped(whole: list[dict[str, Any]]) -> None:
    stopped = [one for one in whole if one["state"] == "pruned"]
    assert stopped
    for one in stopped:
        assert one["score"] is None
        cost = 100.0 * one["setting"]["depth"] * one["setting"].get("nodes", 9)
        before = [other for other in whole[: one["trial"]] if other["state"] == "finished" and other["second"] <= cost]
        at = len(one["best"]) - 1
        assert one["best"][-1] < sorted(other["best"][at] for other in before)[len(before) // 2]
        assert f"the {len(before)} trials that cost no more" in one["pruned_because"]


def test_the_rule_of_stopping_by_hand() -> None:
    peers = [Peer((0.5, reached, 0.9), cost) for reached, cost in ((0.6, 10), (0.7, 13), (0.8, 30), (0.9, 40))]
    assert unpromising(2, 0.74, 40, peers) is not None  # the median of the four is 0.75
    assert unpromising(2, 0.75, 40, peers) is None
    assert unpromising(2, 0.1, 39, peers) is None  # three peers have no say
    assert unpromising(1, 0.1, 40, peers) is None  # too early
    assert unpromising(4, 0.1, 40, peers) is None  # none got so far
    alone = [peer._replace(second=None) for peer in peers]
    assert "the median of the 4 finished trials" in str(unpromising(2, 0.74, None, alone))
    long = [Peer((0.9,) * 40, 1.0)] * 4
    assert unpromising(9, 0.1, 1.0, long) is None  # before a quarter of the epochs
    assert unpromising(10, 0.1, 1.0, long) is not None


def test_a_study_of_one_objective_runs_too(tmp_path: Path) -> None:
    found = ran(tmp_path, 12, objective=replace(Arithmetic(), second=None))
    assert all(one["second"] is None for one in found)
    assert any(one["state"] == "pruned" for one in found)


class Asked:
    """A trial that answers every question with the low end, or the first choice."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return choices[0]

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return low

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return low * 1.000123


def test_knobs() -> None:
    assert asked(KNOBS, Asked()) == {"depth": 1, "space": "macro", "rate": 0.001, "nodes": 1}
    assert nearest(KNOBS, {"depth": 9, "space": "micro", "rate": 7.0}) == {
        "depth": 6,
        "space": "macro",
        "rate": 1.0,
        "nodes": 1,
    }
    assert nearest(KNOBS, {"space": "tail"}) == {"depth": 1, "space": "tail", "rate": 1e-3}
    assert [rounded(value) for value in (0.00012345, 7, "macro")] == [0.000123, 7, "macro"]
    with pytest.raises(SearchError, match="The knob width needs choices"):
        Knob("width")
    assert [knob.to_json().get("only") for knob in KNOBS] == [None, None, None, ["space", ["macro"]]]
