"""Curves of the search over child epochs: reward, loss, entropy, and the scores of short trainings."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from reports.summaries.search import Records, reward_metric, strategy_of
from reports.summaries.values import items, number, numbers, whole


class Line(NamedTuple):
    """One measured quantity over child epochs."""

    epochs: tuple[float, ...]
    values: tuple[float, ...]


class Rewards(NamedTuple):
    """Rewards of the sampled architectures; each point stands for one controller update or for several in a row."""

    epochs: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    baseline: Line
    best: Line
    updates: int
    metric: str


class Trials(NamedTuple):
    """The val score of each short training, in the order they were made (from 1), and the best so far."""

    scores: Line
    best: Line


class Entropy(NamedTuple):
    """The controller's entropy in nats; `uniform` is that of a controller that has learned nothing."""

    line: Line
    uniform: float | None


def rewards(records: Records, *, points: int = 240) -> Rewards | None:
    """Mean and range of the reward, its moving-average baseline and the best so far; at most `points` points each."""
    placed = placed_updates(records)
    mean: list[tuple[float, float]] = []
    spread: list[tuple[float, float, float]] = []
    width = max(1, math.ceil(len(placed) / points))
    for start in range(0, len(placed), width):
        together = placed[start : start + width]
        means = [value for _, record in together if (value := number(record.get("reward"))) is not None]
        if not means:
            continue
        sampled = [value for _, record in together for value in numbers(record.get("rewards"))] or means
        mean.append((together[-1][0], sum(means) / len(means)))
        spread.append((together[-1][0], min(sampled), max(sampled)))
    if not mean:
        return None
    best = thinned([(at, record.get("best_reward")) for at, record in placed], len(placed))
    highest = tuple(accumulate(best.values, max))  # the record has the best of each update
    return Rewards(
        *_unzipped(mean),
        tuple(low for _, low, _ in spread),
        tuple(high for _, _, high in spread),
        thinned([(at, record.get("baseline")) for at, record in placed], points),
        thinned(list(zip(best.epochs, highest, strict=True)), points),
        len(placed),
        reward_metric(records),
    )


def child_loss(records: Records) -> Line | None:
    """The mean loss of the shared child weights in each epoch."""
    line = thinned(by_epoch(records.of("child_epoch"), "loss"), 1000)
    return line if line.values else None


def entropy(records: Records, *, points: int = 240) -> Entropy | None:
    """The entropy of the controller's policy after each update."""
    line = thinned([(at, record.get("entropy")) for at, record in placed_updates(records)], points)
    if not line.values:
        return None
    choices = [
        len(items(items(decision)[1]))
        for decision in items(records.result.get("decisions"))
        if len(items(decision)) > 1
    ]
    uniform = sum(math.log(n) for n in choices if n > 0)
    return Entropy(line, uniform if uniform >= max(line.values) * 0.98 else None)


def trials(records: Records) -> Trials | None:
    """The short trainings of a search that makes them."""
    if strategy_of(records) in ("enas", "nni-darts"):
        return None
    made = enumerate(records.of("candidate"), start=1)
    scores = thinned([(float(trial), record.get("score")) for trial, record in made], 100_000)
    best = tuple(accumulate(scores.values, max))
    return Trials(scores, Line(scores.epochs, best)) if best else None


def placed_updates(records: Records) -> list[tuple[float, dict[str, object]]]:
    """Each controller update with its place in epochs: the k-th of n in epoch e (from 1) is at e - 1 + k / n."""
    updates = [(whole(record.get("epoch")), record) for record in records.of("controller_update")]
    epochs = [epoch for epoch, _ in updates if epoch is not None]
    recorded = [epoch for record in records.of("child_epoch") if (epoch := whole(record.get("epoch"))) is not None]
    first = min(1, *epochs, *recorded) if epochs or recorded else 1
    full = max(Counter(epochs).values(), default=1)
    seen: Counter[int] = Counter()
    placed = []
    for recorded_epoch, record in updates:
        epoch = first if recorded_epoch is None else recorded_epoch
        seen[epoch] += 1
        placed.append((epoch - first + seen[epoch] / full, record))
    return placed


def by_epoch(records: tuple[dict[str, object], ...], field: str) -> list[tuple[float, object]]:
    """The field of each record at its epoch, counted from 1 whether the records count from 0 or 1."""
    epochs = [whole(record.get("epoch")) for record in records]
    shift = 1 if 0 in epochs else 0
    return [
        (float(position if epoch is None else epoch + shift), record.get(field))
        for position, (epoch, record) in enumerate(zip(epochs, records, strict=True), start=1)
    ]


def thinned(pairs: Sequence[tuple[float, object]], points: int) -> Line:
    """The pairs that hold a number, thinned to every n-th and the last."""
    clean = [(at, value) for at, raw in pairs if (value := number(raw)) is not None]
    step = max(1, math.ceil(len(clean) / points))
    kept = clean[::step]
    if clean and kept[-1] != clean[-1]:
        kept.append(clean[-1])
    return Line(*_unzipped(kept))


def _unzipped(pairs: list[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(at for at, _ in pairs), tuple(value for _, value in pairs)
