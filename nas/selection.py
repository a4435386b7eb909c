"""What is trained from scratch: the first of a ranking that truly keep the limits, latency as it was measured.

The sampler keeps the latency limit by a model (`nas.latency_model`), which errs a little, and a strategy of another
make may not keep limits at all; no training is spent on what breaks them in fact.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nas.errors import SearchError
from nas.latencies import Latencies
from nas.limits import Cost, Limits, written
from search_spaces.architecture import Architecture


class Selected(NamedTuple):
    """The places of the chosen architectures in their ranking, and a record of each that was dropped on the way."""

    places: list[int]
    dropped: list[dict[str, Any]]


def select(
    architectures: Sequence[Architecture],
    count: int,
    limits: Limits,
    costs: Callable[[Architecture], tuple[int, int]],
    latencies: Latencies,
    *,
    role: str,
    apart: float = 1.0,
) -> Selected:
    """The first `count` architectures within the limits, in order; latency is measured where it is limited.

    One whose parameters differ by less than the factor `apart` from those of a better one waits until no other is left.
    """
    places: list[int] = []
    sizes: list[int] = []
    waiting: list[int] = []
    dropped: list[dict[str, Any]] = []

    def fits(architecture: Architecture) -> bool:
        latency_ms = latencies.of([architecture])[0].median_ms if limits.latency_ms else None
        cost = Cost(*costs(architecture), latency_ms)
        if broken := limits.broken(cost):
            reasons = (f"{written(name, getattr(cost, name))}, allowed are {limits.set[name]:,g}" for name in broken)
            dropped.append(
                {"role": role, "identity": architecture.identity, **cost._asdict(), "reason": "; ".join(reasons)}
            )
        return not broken

    for place, architecture in enumerate(architectures):
        if len(places) == count:
            break
        size = costs(architecture)[0]
        if any(max(size, other) < apart * min(size, other) for other in sizes):
            waiting.append(place)
        elif fits(architecture):
            places.append(place)
            sizes.append(size)
    for place in waiting:
        if len(places) < count and fits(architectures[place]):
            places.append(place)
    return Selected(sorted(places), dropped)


def require_some(selected: Selected, limits: Limits, count: int) -> None:
    """Raises SearchError when none of the `count` candidates is within the limits."""
    if selected.places:
        return
    least = " and ".join(written(name, min(one[name] for one in selected.dropped)) for name in limits.set)
    raise SearchError(
        f"None of the {count} candidates has {limits.text} on this device; the least of each among them is {least}: "
        "raise the limit that is too low, or allow smaller widths."
    )


def described(
    *,
    candidates: int,
    trained: int,
    judge: str,
    dropped: int,
    limits: Limits,
    metric: str,
    reason: str,
    threshold_by: str,
    apart: float = 1.0,
) -> str:
    """How the winner was found, with the figures that applied."""
    kept = f" with {limits.text}" if limits else ""
    over = f" ({dropped} more were dropped, measured outside the limits)" if dropped else ""
    sizes = f", {apart:g} x apart in parameters while there are such," if apart > 1 else ""
    return (
        f"Of {candidates} candidates{kept}, the {trained} that {judge} highest by val {metric}{sizes}{over} "
        f"were trained from scratch; {reason}. The threshold maximises {threshold_by} on val. Test was measured once, "
        "at the end."
    )
