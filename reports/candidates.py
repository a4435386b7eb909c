"""Records -> what the search proposed, how it fared when retrained, and how well the ranking held."""

import math
from typing import NamedTuple

from reports.costs import front
from reports.records import Records
from reports.summaries import Line, by_epoch, reward_metric, thinned, winner_identity
from reports.values import items, number, numbers_of, table, text


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


class Retraining(NamedTuple):
    """The val score of one architecture, epoch by epoch, while it was trained from scratch."""

    identity: str
    role: str
    line: Line
    is_winner: bool


def candidates(records: Records) -> tuple[Candidate, ...]:
    """Every proposed architecture, in order; those that were retrained carry that score too."""
    metric, chosen = reward_metric(records), winner_identity(records)
    on_front = {one.identity for one in front(records) if one.identity}
    retrained = {
        identity: value
        for record in records.of("retraining")
        if (identity := text(record.get("identity"))) is not None
        and (value := numbers_of(record.get("val")).get(metric)) is not None
    }
    found = []
    for record in records.of("candidate"):
        identity = text(record.get("identity")) or ""
        found.append(
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
    return tuple(found)


def retrainings(records: Records) -> tuple[Retraining, ...]:
    """The training curves of the candidates and random architectures that were trained from scratch."""
    chosen = winner_identity(records)
    found = []
    for record in records.of("retraining"):
        line = thinned(by_epoch(tuple(map(table, items(record.get("curve")))), "val_score"), 400)
        identity = text(record.get("identity")) or ""
        role = text(record.get("role")) or "candidate"
        if line.values and role in ("candidate", "random"):
            found.append(
                Retraining(identity, role, line, role == "candidate" and bool(identity) and identity == chosen)
            )
    return tuple(found)


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
