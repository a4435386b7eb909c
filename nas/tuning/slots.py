"""Slots of a study: each trial is finished once, whoever was killed meanwhile.

A study of N trials has the slots 0 .. N - 1. A trial's number says its slot when it is the first try; a retried trial
carries the slot of the one that was killed. Slots, not numbers, give the seeds: a study that was killed and continued
by one worker is the same as one that ran through.
"""

import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from nas.tuning.storage import GRACE

SLOT, OWNER, VOID, SETTING = "slot", "owner", "void", "setting"  # marks of a trial; a void one is no try of its slot
WORKER = "worker "  # before the name of each worker, among the marks of the study
TRIES = 5  # of one slot; after that it is given up, as its setting ends every process
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class SlotStates(NamedTuple):
    """The slots of a study by where they stand. `lost`: begun, but nobody is at work on them any more."""

    finished: frozenset[int]
    given_up: frozenset[int]
    busy: frozenset[int]
    lost: tuple[int, ...]

    @property
    def settled(self) -> int:
        """How many slots need no further work."""
        return len(self.finished) + len(self.given_up)


def slot_of(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> int:
    """The slot of a trial: its own mark where it is a retry, else its place among the first tries."""
    if SLOT in trial.user_attrs:
        return int(trial.user_attrs[SLOT])
    return trial.number - sum(SLOT in other.user_attrs and other.number < trial.number for other in trials)


def slot_states(trials: Sequence[FrozenTrial], total: int) -> SlotStates:
    """Where each slot below `total` stands."""
    states: dict[int, list[TrialState]] = {}
    for trial in trials:
        tries = states.setdefault(slot_of(trial, trials), [])
        if VOID not in trial.user_attrs:
            tries.append(trial.state)
    finished, given_up, busy, lost = set(), set(), set(), []
    for slot in sorted(states):
        tries = states[slot]
        if slot >= total:
            continue
        if any(state in FINISHED for state in tries):
            finished.add(slot)
        elif any(not state.is_finished() for state in tries):
            busy.add(slot)
        elif len(tries) >= TRIES:
            given_up.add(slot)
        else:
            lost.append(slot)
    return SlotStates(frozenset(finished), frozenset(given_up), frozenset(busy), tuple(lost))


def owner() -> str:
    """Who is at work on a trial: this host and process, with the time it started, as process numbers come again."""
    return f"{socket.gethostname()}/{os.getpid()}/{started(os.getpid())}"


def started(process: int) -> str:
    """When a process of this machine started, in the kernel's ticks; empty where that is not known."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_dead(name: str) -> bool:
    """Whether an owner is a process of this machine that is gone."""
    host, _, rest = name.partition("/")
    process, _, start = rest.partition("/")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return started(int(process)) != start


def register(study: optuna.Study) -> None:
    """Say that this process works on a study, before it begins a trial."""
    study.set_user_attr(f"{WORKER}{owner()}", True)


def reap(study: optuna.Study) -> None:
    """Fail the running trials whose worker is gone: at once on this machine, elsewhere when they are silent."""
    optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        name = trial.user_attrs.get(OWNER)
        if is_dead(name) if name is not None else is_nobodys(study, trial):
            try:
                study.tell(trial.number, state=TrialState.FAIL)
            except (UpdateFinishedTrialError, ValueError):
                continue  # another worker was quicker


def is_nobodys(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Whether a running trial that says not whose it is was killed right at its beginning.

    It was, where no other worker of the study is left that could have begun it; else after a while.
    """
    workers = [name.removeprefix(WORKER) for name in study.user_attrs if name.startswith(WORKER)]
    if all(name == owner() or is_dead(name) for name in workers):
        return True
    return datetime.now() - (trial.datetime_start or datetime.now()) > timedelta(seconds=GRACE)


def take_up(study: optuna.Study, total: int) -> SlotStates:
    """Queue again what was lost, first slot first; returns where the slots stood before."""
    trials = study.get_trials(deepcopy=False)
    states = slot_states(trials, total)
    for slot in states.lost:
        before = [trial for trial in trials if slot_of(trial, trials) == slot][-1]
        # Of a setting that was not drawn to its end nothing is kept: what is left would be drawn otherwise.
        study.enqueue_trial(before.params if SETTING in before.user_attrs else {}, user_attrs={SLOT: slot})
    return states


def is_surplus(study: optuna.Study, number: int, total: int) -> bool:
    """Whether a trial that was just begun is one too many: beyond the last slot, or its slot is in better hands."""
    trials = study.get_trials(deepcopy=False)
    slot = slot_of(trials[number], trials)
    others = (other for other in trials[:number] if slot_of(other, trials) == slot)
    return slot >= total or any(other.state != TrialState.FAIL for other in others)
