"""A study's record -> what its page shows: clean trials, the best so far, names in words. Needs no Optuna."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from reports.layout.formats import NOTHING, count, milliseconds, score
from reports.summaries.curves import METRIC_NAMES
from reports.summaries.values import items, number, table, text, whole

Record = Mapping[str, object]


class Trial(NamedTuple):
    """One settled trial. second: what it costs, None where a study has one objective or it was stopped early."""

    number: int
    finished: bool
    score: float | None
    second: float | None
    setting: Mapping[str, object]
    reason: str | None
    seconds: float | None
    on_front: bool
    picked: bool


def trials(record: Record) -> tuple[Trial, ...]:
    """The settled trials, in order; a record without a number is left out."""
    on_front, chosen = set(items(record.get("front"))), picked_number(record)
    found = []
    for one in map(table, items(record.get("trials"))):
        place = whole(one.get("trial"))
        if place is None:
            continue
        found.append(
            Trial(
                place,
                one.get("state") == "finished",
                number(one.get("score")),
                number(one.get("second")),
                table(one.get("setting")),
                text(one.get("pruned_because")),
                number(one.get("seconds")),
                place in on_front,
                place == chosen,
            )
        )
    return tuple(found)


def picked_number(record: Record) -> int | None:
    """The number of the picked trial; None while none is finished."""
    return whole(table(record.get("picked")).get("trial"))


def best_so_far(found: Sequence[Trial]) -> tuple[list[float], list[float]]:
    """The trials that finished, and the best score up to each."""
    numbers: list[float] = []
    best: list[float] = []
    for one in found:
        if one.score is not None:
            numbers.append(one.number)
            best.append(max([one.score, *best[-1:]]))
    return numbers, best


def importances(record: Record, objective: str) -> list[tuple[str, float]]:
    """The knobs with their share of an objective's variance, the largest first."""
    found = table(table(record.get("importances")).get(objective))
    shares = [(knob_name(name), share) for name, value in found.items() if (share := number(value)) is not None]
    return sorted(shares, key=lambda pair: -pair[1])


def metric_name(record: Record) -> str:
    """The score in words."""
    name = text(record.get("metric")) or "score"
    return METRIC_NAMES.get(name, name)


def second_name(record: Record) -> str | None:
    """The second objective in words; None in a study of one."""
    return {"parameters": "parameters", "latency_ms": "latency, ms"}.get(text(record.get("second")) or "")


def second_value(record: Record, value: float | None) -> str:
    """An amount of the second objective."""
    return milliseconds(value) if text(record.get("second")) == "latency_ms" else count(value)


def knob_name(name: str) -> str:
    """ "learning_rate" -> "learning rate"."""
    return name.replace("_", " ")


def knob_value(value: object) -> str:
    """A value of a knob as it is set."""
    if isinstance(value, bool) or value is None:
        return NOTHING if value is None else str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def summary(record: Record) -> str:
    """How many trials there are, and what the picked one is beside the first, which is the project as it was set."""
    found = trials(record)
    finished = sum(one.finished for one in found)
    wanted = whole(record.get("wanted"))
    head = f"{finished} trials finished and {len(found) - finished} were stopped early, of {count(wanted)}."
    reason = text(table(record.get("picked")).get("reason"))
    first = next((one for one in found if one.number == 0 and one.score is not None), None)
    if reason is None:
        return head
    before = ""
    if first is not None and picked_number(record) != 0:
        cost = f" with {second_value(record, first.second)} {second_name(record)}" if first.second is not None else ""
        before = f" The first trial, with the project's own settings, has {score(first.score)}{cost}."
    return f"{head} {reason[0].upper()}{reason[1:]}.{before}"
