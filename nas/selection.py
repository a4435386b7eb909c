"""What is trained from scratch: the first of a ranking whose latency, truly measured, is within the limit.

The sampler kept the latency limit by a model (`nas.latency_model`), which errs a little; no training is spent on what
would break the limit in fact.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from nas.errors import SearchError
from nas.latencies import Latencies
from nas.limits import Limits, written
from search_spaces.architecture import Architecture


class Selected(NamedTuple):
    """The places of the chosen architectures in their ranking, and a record of each that was dropped on the way."""

    places: list[int]
    dropped: list[dict[str, Any]]


def select(
    architectures: Sequence[Architecture], count: int, limits: Limits, latencies: Latencies, *, role: str
) -> Selected:
    """The first `count` architectures within the latency limit, in order; the first `count` where there is none."""
    places: list[int] = []
    dropped: list[dict[str, Any]] = []
    if not limits.latency_ms:
        return Selected(list(range(min(count, len(architectures)))), dropped)
    start = 0
    while len(places) < count and start < len(architectures):
        group = architectures[start : start + count - len(places)]
        for place, (architecture, latency) in enumerate(zip(group, latencies.of(group), strict=True), start=start):
            if latency.median_ms <= limits.latency_ms:
                places.append(place)
                continue
            reason = f"measured {written('latency_ms', latency.median_ms)}, more than the {limits.latency_ms:g} allowed"
            dropped.append(
                {
                    "role": role,
                    "identity": architecture.identity,
                    "latency_ms": latency.median_ms,
                    "reason": reason,
                }
            )
        start += len(group)
    return Selected(places, dropped)


def require_some(selected: Selected, limits: Limits, count: int) -> None:
    """Raises SearchError when none of the `count` candidates is within the latency limit."""
    if selected.places:
        return
    fastest = min(one["latency_ms"] for one in selected.dropped)
    raise SearchError(
        f"None of the {count} candidates runs in {limits.latency_ms:g} ms on this device, the fastest in "
        f"{written('latency_ms', fastest)}: raise --max-latency (search.max_latency in graftnet.toml), or allow "
        "smaller widths."
    )


def described(
    *, candidates: int, trained: int, dropped: int, limits: Limits, metric: str, reason: str, threshold_by: str
) -> str:
    """How the winner was found, with the figures that applied."""
    kept = f" with {limits.text}" if limits else ""
    late = f" ({dropped} before them were dropped: measured above {limits.latency_ms:g} ms)" if dropped else ""
    return (
        f"Of {candidates} candidates{kept}, the {trained} that the shared weights rank highest by val {metric}{late} "
        f"were trained from scratch; {reason}. The threshold maximises {threshold_by} on val. Test was measured once, "
        "at the end."
    )
