"""Entries of a fleet -> the rows of the overview: what a cell shows, and what it is sorted by."""

from typing import NamedTuple

from reports.fleet.entries import Entry
from reports.layout.formats import NOTHING, change, count, interval, milliseconds, score, short_count, signed

STATES = {
    "current": ("✓", "current"),
    "stale": ("⟳", "stale"),
    "unfinished": ("…", "unfinished"),
    "missing": ("○", "not searched"),
    "failed": ("!", "cannot be searched"),
    "unchecked": ("?", "not checked"),
}
REASONS_SHOWN = 3


class Column(NamedTuple):
    """A column's heading; `numeric`: sorted as numbers."""

    title: str
    numeric: bool = True


class Cell(NamedTuple):
    """What is shown, a remark below it, what it is sorted by (empty: last), a link, and a sign before the text."""

    text: str
    note: str = ""
    key: str = ""
    link: str | None = None
    sign: str = ""


COLUMNS = (
    Column("attribute", numeric=False),
    Column("test score"),
    Column("gain over random"),
    Column("parameters"),
    Column("against tail"),
    Column("MACs"),
    Column("latency"),
    Column("freshness", numeric=False),
    Column("searched", numeric=False),
)


def overview_row(entry: Entry) -> tuple[Cell, ...]:
    """One cell per column of `COLUMNS`; the first one heads the row."""
    gain = entry.gain
    branch, tail = entry.branch, entry.tail
    names = " / ".join(entry.values)
    return (
        Cell(entry.attribute, names if names != "no / yes" else "", entry.attribute.lower(), entry.page),
        Cell(score(entry.score), score_note(entry), _key(entry.score)),
        Cell(signed(gain.difference), interval(gain.low, gain.high), _key(gain.difference)) if gain else Cell(NOTHING),
        Cell(count(branch.parameters), "", _key(branch.parameters)),
        Cell(change(entry.reduction), "", _key(None if entry.reduction is None else -entry.reduction)),
        Cell(short_count(branch.macs), "", _key(branch.macs)),
        Cell(
            milliseconds(branch.latency_ms),
            f"tail {milliseconds(tail.latency_ms)}" if tail.latency_ms is not None else "",
            _key(branch.latency_ms),
        ),
        freshness_cell(entry),
        Cell(entry.created or NOTHING, "grafted" if entry.grafted else "", entry.created),
    )


def score_note(entry: Entry) -> str:
    """The interval, and the metric where it is not the usual one."""
    parts = [
        f"{score(entry.low, 3)} to {score(entry.high, 3)}" if entry.low is not None else "",
        entry.metric if entry.measured and entry.metric != METRIC else "",
    ]
    return ", ".join(part for part in parts if part)


METRIC = "AUROC"


def freshness_cell(entry: Entry) -> Cell:
    """Current or not, and why not; what wants something done comes first when it is sorted."""
    sign, name = STATES.get(entry.state, STATES["unchecked"])
    shown = entry.reasons[:REASONS_SHOWN]
    more = len(entry.reasons) - len(shown)
    note = "; ".join(shown) + (f"; and {more} more" if more else "")
    order = {"failed": 0, "missing": 1, "unfinished": 2, "stale": 3, "unchecked": 4, "current": 5}
    return Cell(name, note, str(order.get(entry.state, 4)), sign=sign)


def _key(value: float | None) -> str:
    return "" if value is None else repr(value)
