"""Real processes on one study: killed with SIGKILL, two at a time, on SQLite and on PostgreSQL."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nas.errors import SearchError
from nas.tuning.records import trial_records
from nas.tuning.slots import VOID
from nas.tuning.storage import open_storage, sqlite_url
from nas.tuning.study import open_study
from tests.nas.postgres import postgres
from tests.nas.studying import Arithmetic
from tests.nas.tuning.test_study import ran, told

ROOT = str(Path(__file__).parents[3])


def start(url: str, trials: int, *, pause: float = 0.0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.nas.studying", url, "study", str(trials), "0", str(pause)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ROOT}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)


def study_at(url: str) -> optuna.Study:
    return open_study(open_storage(url), "study", Arithmetic(), seed=0)


DONE = (TrialState.COMPLETE, TrialState.PRUNED)


def finished(study: optuna.Study) -> int:
    return sum(trial.state in DONE for trial in study.get_trials(deepcopy=False))


def kill_after(process: subprocess.Popen[bytes], study: optuna.Study, count: int, delay: float) -> bool:
    """Kill a worker a moment after the study has so many finished trials; False when it ended before."""
    while process.poll() is None:
        if finished(study) >= count:
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return process.returncode == -signal.SIGKILL
        time.sleep(0.005)
    process.communicate()
    return False


@pytest.mark.slow
def test_a_study_killed_at_three_random_points_loses_no_finished_trial(tmp_path: Path) -> None:
    rng = np.random.default_rng()
    url = sqlite_url(tmp_path / "studies.db")
    study, done = study_at(url), 0
    for _ in range(3):
        before = [trial.number for trial in study.trials if trial.state.is_finished()]
        delay = float(rng.uniform(0, 0.04))
        assert kill_after(start(url, 13, pause=0.02), study, done + 2, delay), f"it ended before its kill at {delay}"
        after = finished(study)
        assert after >= done + 2
        assert {trial.number for trial in study.trials if trial.state.is_finished()} >= set(before)
        done = after
    kept = told(study, 13)
    last = start(url, 13)
    assert last.wait() == 0, last.communicate()[1].decode()
    end = told(study, 13)
    assert [one for one in end if one["trial"] in {was["trial"] for was in kept}] == kept
    assert end == ran(tmp_path / "whole", 13)


@pytest.mark.slow
def test_two_workers_on_postgresql_run_forty_trials_and_none_twice() -> None:
    with postgres() as url:
        killed, left = (start(url, 40, pause=0.02) for _ in range(2))  # both find an empty database
        study = study_at(url)
        assert kill_after(killed, study, 16, 0.01)
        assert left.wait() == 0, left.communicate()[1].decode()
        left.communicate()
        records = trial_records(study, 40)
        assert [one["trial"] for one in records] == list(range(40))
        assert finished(study) == 40  # nothing was tried twice under another number either
        # What was drawn, before a rate is rounded to three digits: two settings close by may round to the same.
        drawn = [trial.params for trial in study.trials if trial.state in DONE]
        assert len({str(sorted(params.items())) for params in drawn}) == len(drawn) == 40
        assert len({one["seed"] for one in records}) == 40
        shares = Counter(one["worker"] for one in records)
        assert len(shares) == 2
        assert min(shares.values()) >= 2
        lost = [trial for trial in study.trials if trial.state == TrialState.FAIL and VOID not in trial.user_attrs]
        assert len(lost) <= 1  # what the killed worker had in hand
        study._storage.remove_session()


def test_without_the_driver_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SearchError, match=r"x:\*\*\*@h/d needs a driver .*pip install 'graftnet\[postgres\]'"):
        open_storage("postgresql://x:secret@h/d")


@pytest.mark.parametrize("url", ["postgresql://nobody@localhost:1/studies", "postgres://nobody@localhost:1/studies"])
def test_both_names_of_postgresql_mean_the_driver_that_the_extra_brings(url: str) -> None:
    with pytest.raises(SearchError, match=r"cannot be used .*start its server, or correct --storage"):
        open_storage(url)
