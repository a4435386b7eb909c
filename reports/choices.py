"""Records -> what the controller chose over time: each operation's share of all it sampled, and what it settled on."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reports.records import Records
from reports.summaries import placed_updates
from reports.values import items, text, whole

FEWEST = 120


class Decision(NamedTuple):
    """One decision of the search space: its name, what may be chosen, and its kind."""

    name: str
    choices: tuple[object, ...]
    kind: str


class Shares(NamedTuple):
    """How often each choice was taken: epochs (T,), and a share per choice and epoch."""

    epochs: tuple[float, ...]
    shares: dict[str, tuple[float, ...]]


class Settled(NamedTuple):
    """A decision's favourite in the last tenth of the updates, its share there, and in the first tenth."""

    name: str
    favourite: object
    first: float
    last: float


def decisions_of(records: Records) -> tuple[Decision, ...]:
    """The decisions of the space as recorded; none where they are not."""
    found = []
    for entry in items(records.result.get("decisions") or records.config.get("decisions")):
        parts = items(entry)
        if len(parts) < 3 or text(parts[0]) is None or not items(parts[1]):
            return ()
        found.append(Decision(str(parts[0]), items(parts[1]), str(parts[2])))
    return tuple(found)


def operation_shares(records: Records, *, points: int = 60) -> Shares | None:
    """The share of each operation among all that were sampled, in up to `points` stretches of controller updates.

    A stretch holds `FEWEST` sampled operations or more, so that its shares are not mere noise.
    """
    decisions, sampled = decisions_of(records), _sampled(records)
    columns = [place for place, decision in enumerate(decisions) if decision.kind == "operation"]
    if not columns or not sampled:
        return None
    names = list(dict.fromkeys(str(choice) for place in columns for choice in decisions[place].choices))
    per_update = sum(len(rows) for _, rows in sampled) * len(columns) / len(sampled)
    width = max(math.ceil(len(sampled) / points), math.ceil(FEWEST / per_update))
    epochs, rows = [], []
    for start in range(0, len(sampled), width):
        stretch = sampled[start : start + width]
        table = np.concatenate([rows_ for _, rows_ in stretch])
        counts = dict.fromkeys(names, 0)
        for place in columns:
            taken = np.bincount(table[:, place], minlength=len(decisions[place].choices))
            for choice, count in zip(decisions[place].choices, taken.tolist(), strict=True):
                counts[str(choice)] += count
        epochs.append(stretch[-1][0])
        rows.append([count / (len(table) * len(columns)) for count in counts.values()])
    return Shares(tuple(epochs), dict(zip(names, zip(*rows, strict=True), strict=True)))


def settled(records: Records) -> tuple[Settled, ...]:
    """Every decision that has a choice, in the space's order."""
    decisions, sampled = decisions_of(records), _sampled(records)
    if not decisions or not sampled:
        return ()
    tenth = math.ceil(len(sampled) / 10)
    first, last = (np.concatenate([rows for _, rows in part]) for part in (sampled[:tenth], sampled[-tenth:]))
    found = []
    for place, decision in enumerate(decisions):
        if len(decision.choices) > 1:
            counts = np.bincount(last[:, place], minlength=len(decision.choices))
            best = int(counts.argmax())
            early = float((first[:, place] == best).mean())
            found.append(Settled(decision.name, decision.choices[best], early, float(counts[best] / len(last))))
    return tuple(found)


def _sampled(records: Records) -> Sequence[tuple[float, np.ndarray[tuple[int, int], np.dtype[np.int64]]]]:
    """The epoch of each controller update, and the choices (S, D) that it sampled; what does not fit is left out."""
    sizes = [len(decision.choices) for decision in decisions_of(records)]
    found = []
    for epoch, record in placed_updates(records):
        rows = [[whole(choice) for choice in items(one)] for one in items(record.get("architectures"))]
        kept = [row for row in rows if len(row) == len(sizes) and _within(row, sizes)]
        if kept:
            found.append((epoch, np.array(kept, dtype=np.int64)))
    return found


def _within(row: Sequence[int | None], sizes: Sequence[int]) -> bool:
    return all(choice is not None and choice < size for choice, size in zip(row, sizes, strict=True))
