"""Records of a study as plain values: ``study.json``, so that reports and `graftnet tune apply` need no Optuna."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from nas.job.pareto import non_dominated
from nas.tuning.knobs import rounded
from nas.tuning.sampler import importances
from nas.tuning.slots import OWNER, VOID, slot_of, slot_states
from nas.tuning.study import DETAILS, REASON, SECONDS

RULES = ("smallest_within", "best")
STATES = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned"}


def trial_records(study: optuna.Study, total: int) -> list[dict[str, Any]]:
    """The settled trials in the order of their slots, each slot once."""
    trials = study.get_trials(deepcopy=False)
    records: dict[int, dict[str, Any]] = {}
    for trial in trials:
        slot = slot_of(trial, trials)
        if trial.state in STATES and slot < total:
            records.setdefault(slot, trial_record(trial, slot))
    tries = [trial for trial in trials if trial.state == TrialState.FAIL and VOID not in trial.user_attrs]
    for record in records.values():
        record["killed"] = sum(slot_of(trial, trials) == record["trial"] for trial in tries)
    return [records[slot] for slot in sorted(records)]


def trial_record(trial: FrozenTrial, slot: int) -> dict[str, Any]:
    """One settled trial. "trial" is its slot, "number" its number in the storage."""
    finished = trial.state == TrialState.COMPLETE
    values = list(trial.values) if finished else []
    return {
        "trial": slot,
        "number": trial.number,
        "state": STATES[trial.state],
        "setting": {name: rounded(value) for name, value in trial.params.items()},
        "score": values[0] if values else None,
        "second": values[1] if len(values) > 1 else None,
        **trial.user_attrs.get(DETAILS, {}),
        "pruned_because": trial.user_attrs.get(REASON),
        "seconds": trial.user_attrs.get(SECONDS),
        "worker": str(trial.user_attrs.get(OWNER, "")).rpartition("/")[0],
    }


def study_record(
    study: optuna.Study,
    *,
    total: int,
    seed: int,
    metric: str,
    second: str | None,
    rule: str,
    tolerance: float,
    whole: bool = True,
) -> dict[str, Any]:
    """What a study has found so far.

    whole: with the importances of the knobs, which take a moment.
    """
    all_trials = study.get_trials(deepcopy=False)
    # A call for fewer trials than there are already takes none away.
    total = max([total, *(1 + slot_of(trial, all_trials) for trial in all_trials if trial.state in STATES)])
    trials, slots = trial_records(study, total), slot_states(all_trials, total)
    finished = [trial for trial in trials if trial["state"] == "finished"]
    record: dict[str, Any] = {
        "metric": metric,
        "second": second,
        "wanted": total,
        "settled": slots.settled,
        "given_up": sorted(slots.given_up),
        "seconds": sum(trial["seconds"] or 0.0 for trial in trials),
        "trials": trials,
        "front": [finished[position]["trial"] for position in front_of(finished)],
        "picked": chosen(finished, metric=metric, second=second, rule=rule, tolerance=tolerance),
    }
    record["sentence"] = sentence(trials, total, record["picked"])
    if whole:
        names = ["score", *(["second"] if second else [])]
        record["importances"] = {name: importances(study, position, seed) for position, name in enumerate(names)}
    return record


def sentence(trials: Sequence[Mapping[str, Any]], total: int, picked: Mapping[str, Any] | None) -> str:
    """How far a study is, and what it found, for lists of studies."""
    stopped = sum(trial["state"] == "pruned" for trial in trials)
    counts = f"{len(trials) - stopped} of {total} trials finished, {stopped} stopped early"
    return f"{counts}; picked is trial {picked['trial']}: {picked['reason']}." if picked else f"{counts}."


def chosen(
    finished: Sequence[Mapping[str, Any]], *, metric: str, second: str | None, rule: str, tolerance: float
) -> dict[str, Any] | None:
    """The picked trial: its slot, the rule, and why; None while none is finished."""
    if not finished:
        return None
    picked = pick(finished, metric=metric, second=second, rule=rule, tolerance=tolerance)
    return {"trial": finished[picked.position]["trial"], "rule": rule, "tolerance": tolerance, "reason": picked.reason}


class Picked(NamedTuple):
    """The place of the chosen trial among the finished ones, and why, in words with the figures that decided."""

    position: int
    reason: str


def front_of(trials: Sequence[Mapping[str, Any]]) -> list[int]:
    """The places of the trials that no other one beats: cheapest first; of one objective, the best alone."""
    if not trials:
        return []
    points = [(-trial["score"], trial["second"] or 0.0) for trial in trials]
    return sorted(non_dominated(points), key=lambda position: (points[position][1], points[position][0], position))


def pick(
    trials: Sequence[Mapping[str, Any]], *, metric: str, second: str | None, rule: str, tolerance: float
) -> Picked:
    """One of at least one finished trial, each with "score", "second" and "standard_error" (of the score).

    "best": the highest val score. "smallest_within": the cheapest among those within `tolerance` standard errors of it,
    as `nas.job.choosing.winner` picks a search's winner. Of equal scores the cheaper one, then the first.
    """
    best = min(range(len(trials)), key=lambda n: (-trials[n]["score"], trials[n]["second"] or 0.0, n))
    top = trials[best]
    if rule == "best" or second is None or not tolerance:
        return Picked(best, f"the best val {metric}, {top['score']:.4f}")
    margin = tolerance * top["standard_error"]
    within = [n for n, trial in enumerate(trials) if trial["score"] >= top["score"] - margin]
    least = min(within, key=lambda n: (trials[n]["second"], -trials[n]["score"], n))
    chosen = trials[least]
    errors = f"{tolerance:g} standard error{'' if tolerance == 1 else 's'}"
    count = f"{len(within)} trial{'' if len(within) == 1 else 's'}"
    return Picked(
        least,
        f"of the {count} within {margin:.4f} ({errors}) of the best val {metric}, {top['score']:.4f}, the one with the "
        f"least {named(second)}: {amount(second, chosen['second'])} with {chosen['score']:.4f}, where the best has "
        f"{amount(second, top['second'])}",
    )


def named(second: str) -> str:
    """The second objective in words."""
    return {"parameters": "parameters", "latency_ms": "latency"}[second]


def amount(second: str, value: float) -> str:
    """An amount of the second objective in words."""
    return f"{value:,.0f} parameters" if second == "parameters" else f"{value:.3g} ms"
