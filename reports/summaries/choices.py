"""Choices of the controller over time: each operation's share of all it sampled, and what it settled on."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reports.summaries.curves import placed_updates
from reports.summaries.search import Records
from reports.summaries.values import items, text

FEWEST = 120


class Decision(NamedTuple):
    """One decision of the search space: its name, what may be chosen, and its kind."""

    name: str
    choices: tuple[object, ...]
    kind: str


class Sampled(NamedTuple):
    """The space's decisions, and of each controller update its epoch and the choices (S, D) that it sampled."""

    decisions: tuple[Decision, ...]
    updates: tuple[tuple[float, NDArray[np.int64]], ...]


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
    decisions = []
    for entry in items(records.result.get("decisions") or records.config.get("decisions")):
        parts = items(entry)
        if len(parts) < 3 or text(parts[0]) is None or not items(parts[1]):
            return ()
        decisions.append(Decision(str(parts[0]), items(parts[1]), str(parts[2])))
    return tuple(decisions)


def sampled(records: Records) -> Sampled:
    """What the controller sampled; an update whose choices do not fit the space is left out."""
    decisions = decisions_of(records)
    sizes = np.array([len(decision.choices) for decision in decisions], dtype=np.int64)
    updates = []
    for epoch, record in placed_updates(records):
        try:
            rows = np.array(items(record.get("architectures")))
        except ValueError:  # of unequal lengths
            continue
        fits = rows.ndim == 2 and rows.shape[1] == len(sizes) and np.issubdtype(rows.dtype, np.integer)
        if fits and (rows >= 0).all() and (rows < sizes).all():
            updates.append((epoch, rows.astype(np.int64)))
    return Sampled(decisions, tuple(updates))


def operation_shares(taken: Sampled, *, points: int = 60) -> Shares | None:
    """The share of each operation among all that were sampled, in up to `points` stretches of controller updates.

    A stretch holds `FEWEST` sampled operations or more, so that its shares are not mere noise.
    """
    decisions, updates = taken
    columns = [index for index, decision in enumerate(decisions) if decision.kind == "operation"]
    if not columns or not updates:
        return None
    names = list(dict.fromkeys(str(choice) for column in columns for choice in decisions[column].choices))
    per_update = sum(len(rows) for _, rows in updates) * len(columns) / len(updates)
    width = max(math.ceil(len(updates) / points), math.ceil(FEWEST / per_update))
    epochs, shares = [], []
    for start in range(0, len(updates), width):
        stretch = updates[start : start + width]
        rows = np.concatenate([rows for _, rows in stretch])
        counts = dict.fromkeys(names, 0)
        for column in columns:
            picked = np.bincount(rows[:, column], minlength=len(decisions[column].choices))
            for choice, count in zip(decisions[column].choices, picked.tolist(), strict=True):
                counts[str(choice)] += count
        epochs.append(stretch[-1][0])
        shares.append([count / (len(rows) * len(columns)) for count in counts.values()])
    return Shares(tuple(epochs), dict(zip(names, zip(*shares, strict=True), strict=True)))


def settled(taken: Sampled) -> tuple[Settled, ...]:
    """Every decision that has a choice, in the space's order."""
    decisions, updates = taken
    if not updates:
        return ()
    tenth = math.ceil(len(updates) / 10)
    first, last = (np.concatenate([rows for _, rows in part]) for part in (updates[:tenth], updates[-tenth:]))
    favourites = []
    for index, decision in enumerate(decisions):
        if len(decision.choices) > 1:
            counts = np.bincount(last[:, index], minlength=len(decision.choices))
            best = int(counts.argmax())
            early = float((first[:, index] == best).mean())
            favourites.append(Settled(decision.name, decision.choices[best], early, float(counts[best] / len(last))))
    return tuple(favourites)
