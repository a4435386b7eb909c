"""Which finished trial of a study is taken: the front of score and cost, and a rule that names one of its points."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nas.pareto import non_dominated

RULES = ("smallest_within", "best")


class Picked(NamedTuple):
    """The place of the chosen trial among the finished ones, and why, in words with the figures that decided."""

    place: int
    reason: str


def front_of(trials: Sequence[Mapping[str, Any]]) -> list[int]:
    """The places of the trials that no other one beats: cheapest first; of one objective, the best alone."""
    if not trials:
        return []
    points = [(-trial["score"], trial["second"] or 0.0) for trial in trials]
    return sorted(non_dominated(points), key=lambda place: (points[place][1], points[place][0], place))


def pick(
    trials: Sequence[Mapping[str, Any]], *, metric: str, second: str | None, rule: str, tolerance: float
) -> Picked:
    """One of at least one finished trial, each with "score", "second" and "standard_error" (of the score).

    "best": the highest val score. "smallest_within": the cheapest among those within `tolerance` standard errors of it,
    as `nas.winner` picks a search's winner. Of equal scores the cheaper one, then the first.
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
