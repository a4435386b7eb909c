"""Tuning with Optuna: a study asks for settings, an objective tries each on val, until so many trials are settled.

Any number of workers, on one machine or several, may work on a study: they share its storage. Killed trials are tried
again (`nas.tuning.slots`), unpromising ones stopped early (`unpromising`), and a study that is called again
continues. The test split is never looked at.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any, NamedTuple, Protocol

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from foundation.provenance import seed_of
from nas.tuning.knobs import Knob, Setting, asked
from nas.tuning.sampler import SlotSampler
from nas.tuning.slots import OWNER, SETTING, VOID, is_surplus, owner, reap, register, slot_of, slot_states, take_up

POLL = 0.5  # seconds between two looks at what other workers do
DETAILS, SECONDS, REASON = "details", "seconds", "pruned"  # marks of a trial
LEAST_PEERS = 4  # fewer have no say
FREE_EPOCHS, FREE_SHARE = 2, 0.25  # before so many epochs, or this share of all, scores say little


class Outcome(NamedTuple):
    """What a trial found: the val score, what it costs (None: a study of one objective), and plain values to keep.

    `details` has at least "best", the best val score after each epoch, and "standard_error" of the score.
    """

    score: float
    second: float | None
    details: dict[str, Any]


class PrunedError(Exception):
    """A trial that is not worth finishing: why, and what it found so far."""

    def __init__(self, reason: str, details: Mapping[str, Any]) -> None:
        super().__init__(reason)
        self.details = dict(details)


class SurplusError(Exception):
    """A trial that another worker has in hand already, or one too many."""


Watch = Callable[[int, float, float | None], str | None]  # epoch, best score so far, cost -> why to stop, if so


class Objective(Protocol):
    """What is tuned. `first`: the setting of the first trial. `second`: the name of the second objective, if any."""

    @property
    def knobs(self) -> Sequence[Knob]: ...
    @property
    def first(self) -> Setting: ...
    @property
    def second(self) -> str | None: ...

    def __call__(self, setting: Setting, *, seed: int, watch: Watch) -> Outcome:
        """Try a setting. Raises PrunedError where `watch` says so, or where the setting cannot be."""
        ...


def open_study(storage: RDBStorage, name: str, objective: Objective, *, seed: int) -> optuna.Study:
    """The study of this name, which is begun where there is none."""
    with quiet():
        return optuna.create_study(
            study_name=name,
            storage=storage,
            directions=["maximize", "minimize"] if objective.second else ["maximize"],
            sampler=SlotSampler(seed, objective.first),
            load_if_exists=True,
        )


def run_study(
    study: optuna.Study,
    objective: Objective,
    *,
    trials: int,
    seed: int,
    settled: Callable[[int], None] = lambda count: None,
) -> None:
    """Work on a study until `trials` of its trials are settled, by this worker or others.

    settled: called with that number, at the beginning and after each trial of this worker.
    """
    with quiet():
        register(study)
        while True:
            reap(study)
            before = take_up(study, trials)
            settled(before.settled)
            if before.settled >= trials:
                return
            if not before.lost and not anything_left(study, trials):
                time.sleep(POLL)  # the rest is in other hands, which may yet die
                continue
            try:
                study.optimize(
                    partial(run_trial, study=study, objective=objective, total=trials, seed=seed),
                    n_trials=1,
                    catch=(SurplusError, UpdateFinishedTrialError),
                )
            except ValueError:
                if not given_away(study):
                    raise


def settled_count(study: optuna.Study, total: int) -> int:
    """How many of the study's first `total` trials need no further work."""
    return slot_states(study.get_trials(deepcopy=False), total).settled


def anything_left(study: optuna.Study, total: int) -> bool:
    """Whether there is a trial to begin: one that waits, or a slot that nobody has begun."""
    trials = study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.WAITING for trial in trials):
        return True
    states = slot_states(trials, total)
    return states.settled + len(states.busy) + len(states.lost) < total


def given_away(study: optuna.Study) -> bool:
    """Whether others took this worker for dead, as after a long silence of its network, and failed its last trial."""
    mine = [trial for trial in study.get_trials(deepcopy=False) if trial.user_attrs.get(OWNER) == owner()]
    return bool(mine) and mine[-1].state == TrialState.FAIL


def run_trial(trial: optuna.Trial, *, study: optuna.Study, objective: Objective, total: int, seed: int) -> Any:
    """Ask for a setting and try it; what it found is kept with the trial."""
    if is_surplus(study, trial.number, total):
        trial.set_user_attr(VOID, "surplus")
        raise SurplusError
    trial.set_user_attr(OWNER, owner())
    trials = study.get_trials(deepcopy=False)
    slot = slot_of(trials[trial.number], trials)
    peers = [peer_of(finished) for finished in trials if finished.state == TrialState.COMPLETE]
    setting = asked(objective.knobs, trial)
    trial.set_user_attr(SETTING, setting)
    began = time.perf_counter()
    try:
        outcome = objective(setting, seed=seed_of(seed, "trial", slot), watch=partial(unpromising, peers=peers))
    except PrunedError as pruned:
        keep(trial, pruned.details, began)
        trial.set_user_attr(REASON, str(pruned))
        raise optuna.TrialPruned(str(pruned)) from pruned
    except KeyboardInterrupt:
        trial.set_user_attr(VOID, "interrupted")
        raise
    keep(trial, outcome.details, began)
    return outcome.score if outcome.second is None else (outcome.score, outcome.second)


def keep(trial: optuna.Trial, details: Mapping[str, Any], began: float) -> None:
    """What a trial found, and how long it took, as marks of it."""
    trial.set_user_attr(DETAILS, dict(details))
    trial.set_user_attr(SECONDS, time.perf_counter() - began)


class Peer(NamedTuple):
    """A finished trial: its best val score after each epoch so far, and what it cost (None: one objective only)."""

    best: tuple[float, ...]
    second: float | None


def unpromising(epoch: int, best: float, second: float | None, peers: Sequence[Peer]) -> str | None:
    """Why a trial should stop after `epoch` (from 1) with its best score so far; None where it should go on.

    >>> unpromising(2, 0.7, 100, [Peer((0.6, 0.8), 90)] * 4)
    'after epoch 2 it is at 0.7000, below 0.8000, the median of the 4 trials that cost no more'
    >>> unpromising(2, 0.7, 80, [Peer((0.6, 0.8), 90)] * 4)
    """
    if epoch < FREE_EPOCHS:
        return None
    peer_scores = [
        peer.best[epoch - 1]
        for peer in peers
        if FREE_SHARE * len(peer.best) <= epoch <= len(peer.best)
        and (second is None or peer.second is None or peer.second <= second)
    ]
    if len(peer_scores) < LEAST_PEERS or best >= median(peer_scores):
        return None
    peers_are = "finished trials" if second is None else "trials that cost no more"
    middle = f"{median(peer_scores):.4f}, the median of the {len(peer_scores)} {peers_are}"
    return f"after epoch {epoch} it is at {best:.4f}, below {middle}"


def peer_of(trial: optuna.trial.FrozenTrial) -> Peer:
    """A finished trial as the rule of pruning sees it."""
    return Peer(tuple(trial.user_attrs[DETAILS]["best"]), trial.values[1] if len(trial.values) > 1 else None)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from logging every trial, and from warning of what it calls experimental, while the block runs."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
