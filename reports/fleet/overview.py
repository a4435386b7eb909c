"""Overview of all attributes: its columns, headline, sentence and key figures."""

from typing import NamedTuple

from reports.fleet.entries import Entry, Fleet
from reports.fleet.tables import TreeCost, saving
from reports.layout.formats import NOTHING, change, count, interval, milliseconds, score, short_count, signed
from reports.layout.pages import Tile

STATES = {
    "current": ("✓", "current"),
    "stale": ("⟳", "stale"),
    "unfinished": ("…", "unfinished"),
    "missing": ("○", "not searched"),
    "failed": ("!", "cannot be searched"),
    "unchecked": ("?", "not checked"),
}
REASONS_SHOWN = 3
METRIC = "AUROC"
_SINGULAR = {
    "stale": "no longer answers what is asked",
    "unfinished": "is not finished",
    "missing": "is not searched yet",
    "failed": "cannot be searched",
}


class Column(NamedTuple):
    """A column's heading; `numeric`: sorted as numbers."""

    title: str
    numeric: bool = True


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


class Cell(NamedTuple):
    """What is shown, a remark below it, what it is sorted by (empty: last), a link, and a sign before the text."""

    text: str
    note: str = ""
    key: str = ""
    link: str | None = None
    sign: str = ""


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


def headline(fleet: Fleet) -> str:
    """How many attributes there are, and how many have a current result."""
    entries, states = fleet.entries, [one.state for one in fleet.entries]
    if not entries:
        return "No attribute yet"
    current = states.count("current")
    if "unchecked" in states and not current:
        return f"{len(entries)} attributes, {sum(one.measured for one in entries)} with a result"
    if current == len(entries):
        return "1 attribute, current" if current == 1 else f"{current} attributes, all current"
    return f"{current} of {len(entries)} attribute{'s' if len(entries) > 1 else ''} current"


def sentence(fleet: Fleet, cost: TreeCost) -> str:
    """What the tree saves, and what waits to be done."""
    parts = []
    saved = saving(cost.tree.parameters, cost.separate.parameters)
    if saved is not None and len(cost.counted) > 1:
        parts.append(
            f"One trunk with {len(cost.counted)} branches has {short_count(cost.tree.parameters)} parameters, "
            f"{change(saved)} against {len(cost.counted)} separate networks."
        )
    for state, words in (
        ("stale", "no longer answer what is asked"),
        ("unfinished", "are not finished"),
        ("missing", "are not searched yet"),
        ("failed", "cannot be searched"),
    ):
        names = [one.attribute for one in fleet.entries if one.state == state]
        if names:
            some = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            parts.append(f"{some} {words if len(names) > 1 else _SINGULAR[state]}.")
    return " ".join(parts)


def tiles(fleet: Fleet, cost: TreeCost) -> tuple[Tile, ...]:
    """The key figures of the fleet."""
    found = []
    done = sorted((one for one in fleet.entries if one.measured), key=lambda one: one.score or 0.0)
    if done:
        low, high = done[0], done[-1]
        middle = done[len(done) // 2] if len(done) % 2 else None
        mean = (done[len(done) // 2 - 1].score or 0.0) / 2 + (done[len(done) // 2].score or 0.0) / 2
        value = middle.score if middle else mean
        note = f"{low.attribute} {score(low.score, 3)} to {high.attribute} {score(high.score, 3)}"
        found.append(Tile(f"median test {low.metric}", score(value), note))
        gained = [one.gain for one in done if one.gain]
        if gained:
            better = sum(one.judgement == "better" for one in gained)
            worse = sum(one.judgement == "worse" for one in gained)
            note = f"worse: {worse}; not told apart: {len(gained) - better - worse}"
            found.append(Tile("better than random search", f"{better} of {len(gained)}", note))
    for title, field in (("parameters of the tree", "parameters"), ("MACs of the tree", "macs")):
        tree, separate = getattr(cost.tree, field), getattr(cost.separate, field)
        if tree is not None:
            saved = saving(tree, separate)
            note = f"{change(saved)} against separate networks" if saved is not None else ""
            found.append(Tile(title, short_count(tree), note))
    return tuple(found)


def remark(fleet: Fleet) -> str:
    """What the columns mean."""
    measured = [one for one in fleet.entries if one.measured]
    metric = f"{METRIC} unless it says otherwise" if any(one.metric == METRIC for one in measured) else "see the cell"
    parts = [f"Test score: {metric}, the mean over trainings."]
    if any(one.low is not None for one in measured):
        parts.append(
            "Below it the 95 % interval over test images: of an AUROC after Hanley and McNeil (1982), of an accuracy "
            "after Wilson (1927)."
        )
    if any(one.gain and interval(one.gain.low, one.gain.high) for one in measured):
        parts.append("Gain over random architectures at equal budget, with its 95 % interval.")
    parts.append("Parameters, MACs and latency: of the branch alone, for one image.")
    return " ".join(parts)
