"""Candidates of the search: what was proposed, how it fared when retrained, the ranking, the Pareto front."""

import math
from typing import NamedTuple

from reports.layout.formats import count, share
from reports.summaries.comparison import ROLES, methods
from reports.summaries.curves import Line, by_epoch, thinned
from reports.summaries.search import Records, reward_metric, winner_identity
from reports.summaries.values import items, number, numbers_of, table, text, whole

BUSY = 0.3  # as in `branches.costs.latency`
CHANCE = ("random", "uniform")  # sources of a candidate that nothing has learnt


class Candidate(NamedTuple):
    """One proposed architecture: `score` is what it was ranked by, `retrained` from scratch (None: it was not).

    `on_front`: no other candidate beats it in score and costs together.
    """

    identity: str
    source: str
    parameters: float | None
    score: float | None
    retrained: float | None
    is_winner: bool
    on_front: bool = False


class Trained(NamedTuple):
    """The winner or a control as it was trained: its name, role in the palette, size and val score."""

    name: str
    role: str
    parameters: float
    score: float


class Retraining(NamedTuple):
    """The val score of one architecture, epoch by epoch, while it was trained from scratch."""

    identity: str
    role: str
    line: Line
    is_winner: bool


class FrontEntry(NamedTuple):
    """A candidate that no other one beats in score, parameters, MACs and latency together; `score` is the shared."""

    identity: str
    score: float | None
    parameters: float | None
    macs: float | None
    latency_ms: float | None


def candidates(records: Records) -> tuple[Candidate, ...]:
    """Every proposed architecture, in order; those that were retrained carry that score too."""
    metric, chosen = reward_metric(records), winner_identity(records)
    on_front = {entry.identity for entry in front(records) if entry.identity}
    retrained = {
        identity: value
        for record in records.of("retraining")
        if (identity := text(record.get("identity"))) is not None
        and (value := numbers_of(record.get("val")).get(metric)) is not None
    }
    proposed = []
    for record in records.of("candidate"):
        identity = text(record.get("identity")) or ""
        proposed.append(
            Candidate(
                identity,
                text(record.get("source")) or "controller",
                number(record.get("parameters")),
                number(record.get("score")),
                retrained.get(identity),
                bool(identity) and identity == chosen,
                identity in on_front,
            )
        )
    return tuple(proposed)


def trained_ones(records: Records) -> tuple[Trained, ...]:
    """The winner and its controls, those of them whose size and val score are known; the winner last, on top."""
    trained = []
    for method in methods(records):
        value = method.score("val")
        if method.parameters and value is not None:
            trained.append(Trained(method.name, ROLES[method.key], method.parameters, value))
    return tuple(reversed(trained))


def ranks(proposed: tuple[Candidate, ...]) -> tuple[tuple[float, float, bool], ...]:
    """(place by the ranking score, place by the retrained one, whether it won) of the retrained candidates, best 1.

    Equals share the mean of their places.
    """
    kept = [trial for trial in proposed if trial.score is not None and trial.retrained is not None]
    before = places([candidate.score or 0.0 for candidate in kept])
    after = places([candidate.retrained or 0.0 for candidate in kept])
    return tuple((first, then, candidate.is_winner) for first, then, candidate in zip(before, after, kept, strict=True))


def places(scores: list[float]) -> list[float]:
    """The place of each score, 1 for the highest."""
    return [
        1 + sum(other > score for other in scores) + (sum(other == score for other in scores) - 1) / 2
        for score in scores
    ]


def retrainings(records: Records) -> tuple[Retraining, ...]:
    """The training curves of the candidates and random architectures that were trained from scratch."""
    chosen = winner_identity(records)
    trained = []
    for record in records.of("retraining"):
        line = thinned(by_epoch(tuple(map(table, items(record.get("curve")))), "val_score"), 400)
        identity = text(record.get("identity")) or ""
        role = text(record.get("role")) or "candidate"
        if line.values and role in ("candidate", "random"):
            trained.append(
                Retraining(identity, role, line, role == "candidate" and bool(identity) and identity == chosen)
            )
    return tuple(trained)


def rank_agreement(pairs: list[tuple[float, float]]) -> float | None:
    """Kendall's tau-b of paired scores, from -1 to 1; None for fewer than three pairs or when one side is constant."""
    if len(pairs) < 3:
        return None
    balance = tied_left = tied_right = 0
    for i, (left, right) in enumerate(pairs):
        for other_left, other_right in pairs[:i]:
            signs = _sign(left - other_left), _sign(right - other_right)
            balance += signs[0] * signs[1]
            tied_left += signs[0] == 0
            tied_right += signs[1] == 0
    total = len(pairs) * (len(pairs) - 1) // 2
    scale = math.sqrt((total - tied_left) * (total - tied_right))
    return balance / scale if scale else None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def front(records: Records) -> tuple[FrontEntry, ...]:
    """The Pareto front, smallest first; empty where the search recorded none."""
    return tuple(
        FrontEntry(identity, *(number(entry.get(key)) for key in ("score", "parameters", "macs", "latency_ms")))
        for entry in map(table, items(records.result.get("front")))
        if (identity := text(entry.get("identity"))) is not None
    )


def latency_sentence(records: Records) -> str:
    """How latency was measured; empty where it was not."""
    latency = table(records.result.get("latency"))
    device, batch, threads = text(latency.get("device")), whole(latency.get("batch")), whole(latency.get("threads"))
    if device is None or batch is None:
        return ""
    where = device if threads is None or device != "cpu" else f"cpu, {threads} thread{'' if threads == 1 else 's'}"
    images = "one image" if batch == 1 else f"{batch} images"
    runs = count(number(latency.get("runs")))
    fastest, median = number(latency.get("min_ms")), number(latency.get("median_ms"))
    of = f"the median of {runs}"
    if fastest and median:
        of = f"the fastest of {runs} rounds in turn (the median round took {share(median / fastest - 1)} longer)"
    return f" Latency: features in, logits out, {images} on {where}; {of}.{busy_sentence(records)}"


def busy_sentence(records: Records) -> str:
    """Says that latencies were measured on a busy machine; empty where they were not, or nothing is known of it."""
    controls = table(records.result.get("controls")).values()
    spreads = [records.result.get("latency_spread"), records.result.get("tail_latency_spread")]
    spreads += [table(control).get("latency_spread") for control in controls]
    widest = max((spread for value in spreads if (spread := number(value)) is not None), default=0.0)
    if widest <= BUSY:
        return ""
    return (
        f" Busy machine: in a comparison of latencies the median round took up to {share(widest)} longer than the "
        "fastest; trust their order only where it is wide."
    )
