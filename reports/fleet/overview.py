"""Overview of all attributes: its columns, headline, sentence and key figures."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from reports.fleet.entries import Entry, Fleet
from reports.fleet.tables import TreeCost, saving
from reports.layout.formats import (
    METRIC_NAMES,
    NOTHING,
    change,
    count,
    interval,
    milliseconds,
    score,
    short_count,
    signed,
    span,
)
from reports.layout.pages import Tile


class State(NamedTuple):
    """How an attribute stands: its sign and name, its place when sorted, and what is said of one or of several."""

    sign: str
    name: str
    urgency: int
    one: str = ""
    several: str = ""


# in the order in which the sentence names them
STATES = {
    "stale": State("⟳", "stale", 3, "no longer answers what is asked", "no longer answer what is asked"),
    "unfinished": State("…", "unfinished", 2, "is not finished", "are not finished"),
    "missing": State("○", "not searched", 1, "is not searched yet", "are not searched yet"),
    "failed": State("!", "cannot be searched", 0, "cannot be searched", "cannot be searched"),
    "unchecked": State("?", "not checked", 4),
    "current": State("✓", "current", 5),
}
REASONS_SHOWN = 3
METRIC = METRIC_NAMES["auroc"]


class Cell(NamedTuple):
    """What is shown, a remark below it, what it is sorted by (empty: last), a link, and a sign before the text."""

    text: str
    note: str = ""
    key: str = ""
    link: str | None = None
    sign: str = ""


class Column(NamedTuple):
    """A column of the overview; the first one heads the row.

    `numeric`: sorted as numbers. `meaning`: sentences below the table, given the entries that have a test score.
    """

    title: str
    cell: Callable[[Entry], Cell]
    numeric: bool = True
    meaning: Callable[[Sequence[Entry]], str] = lambda measured: ""


def overview_row(entry: Entry) -> tuple[Cell, ...]:
    """One cell per column of `COLUMNS`."""
    return tuple(column.cell(entry) for column in COLUMNS)


def _number(value: float | None, written: str, note: str = "") -> Cell:
    return Cell(written, note, "" if value is None else repr(value))


def attribute_cell(entry: Entry) -> Cell:
    """The name, and the values where they are not no and yes."""
    names = " / ".join(entry.values)
    return Cell(entry.attribute, names if names != "no / yes" else "", entry.attribute.lower(), entry.page)


def score_cell(entry: Entry) -> Cell:
    """The test score, its interval, and the metric where it is not the usual one."""
    ends = span(entry.low, entry.high) if entry.low is not None and entry.high is not None else ""
    metric = entry.metric if entry.measured and entry.metric != METRIC else ""
    return _number(entry.score, score(entry.score), ", ".join(filter(None, (ends, metric))))


def _score_meaning(measured: Sequence[Entry]) -> str:
    usual = any(entry.metric == METRIC for entry in measured)
    words = f"Test score: {f'{METRIC} unless it says otherwise' if usual else 'see the cell'}, the mean over trainings."
    if any(entry.low is not None for entry in measured):
        words += (
            " Below it the 95 % interval over test images: of an AUROC after Newcombe (2006), of an accuracy after "
            "Wilson (1927)."
        )
    return words


def gain_cell(entry: Entry) -> Cell:
    """The gain over random architectures, and its interval."""
    if (gain := entry.gain) is None:
        return Cell(NOTHING)
    return _number(gain.difference, signed(gain.difference), interval(gain.low, gain.high))


def _gain_meaning(measured: Sequence[Entry]) -> str:
    known = any(entry.gain and interval(entry.gain.low, entry.gain.high) for entry in measured)
    return "Gain over random architectures at equal budget, with its 95 % interval." if known else ""


def reduction_cell(entry: Entry) -> Cell:
    """The parameters against the tail's; sorted from the largest saving."""
    return _number(None if entry.reduction is None else -entry.reduction, change(entry.reduction))


def latency_cell(entry: Entry) -> Cell:
    """The latency of the branch, below it the tail's."""
    own, tail = entry.branch.latency_ms, entry.tail.latency_ms
    return _number(own, milliseconds(own), "" if tail is None else f"tail {milliseconds(tail)}")


def freshness_cell(entry: Entry) -> Cell:
    """Current or not, and why not; what wants something done comes first when it is sorted."""
    state = STATES.get(entry.state, STATES["unchecked"]._replace(name=entry.state))
    shown = entry.reasons[:REASONS_SHOWN]
    more = len(entry.reasons) - len(shown)
    note = "; ".join(shown) + (f"; and {more} more" if more else "")
    return Cell(state.name, note, str(state.urgency), sign=state.sign)


def _branch_meaning(_: Sequence[Entry]) -> str:
    return "Parameters, MACs and latency: of the branch alone, for one image."


COLUMNS = (
    Column("attribute", attribute_cell, numeric=False),
    Column("test score", score_cell, meaning=_score_meaning),
    Column("gain over random", gain_cell, meaning=_gain_meaning),
    Column(
        "parameters",
        lambda entry: _number(entry.branch.parameters, count(entry.branch.parameters)),
        meaning=_branch_meaning,
    ),
    Column("against tail", reduction_cell),
    Column("MACs", lambda entry: _number(entry.branch.macs, short_count(entry.branch.macs))),
    Column("latency", latency_cell),
    Column("freshness", freshness_cell, numeric=False),
    Column(
        "searched",
        lambda entry: Cell(entry.created or NOTHING, "grafted" if entry.grafted else "", entry.created),
        numeric=False,
    ),
)


def remark(fleet: Fleet) -> str:
    """What the columns mean."""
    return " ".join(filter(None, (column.meaning(fleet.measured) for column in COLUMNS)))


def headline(fleet: Fleet) -> str:
    """How many attributes there are, and how many have a current result."""
    entries, states = fleet.entries, [entry.state for entry in fleet.entries]
    if not entries:
        return "No attribute yet"
    current = states.count("current")
    if "unchecked" in states and not current:
        return f"{len(entries)} attributes, {sum(entry.measured for entry in entries)} with a result"
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
    for key, state in STATES.items():
        names = [entry.attribute for entry in fleet.entries if entry.state == key]
        if names and state.one:
            some = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            parts.append(f"{some} {state.several if len(names) > 1 else state.one}.")
    return " ".join(parts)


def tiles(fleet: Fleet, cost: TreeCost) -> tuple[Tile, ...]:
    """The key figures of the fleet."""
    shown = []
    done = sorted((entry for entry in fleet.entries if entry.measured), key=lambda entry: entry.score or 0.0)
    if done:
        low, high = done[0], done[-1]
        middle = done[len(done) // 2] if len(done) % 2 else None
        mean = (done[len(done) // 2 - 1].score or 0.0) / 2 + (done[len(done) // 2].score or 0.0) / 2
        value = middle.score if middle else mean
        note = f"{low.attribute} {score(low.score, 3)} to {high.attribute} {score(high.score, 3)}"
        shown.append(Tile(f"median test {low.metric}", score(value), note))
        gained = [entry.gain for entry in done if entry.gain]
        if gained:
            better = sum(gain.judgement == "better" for gain in gained)
            worse = sum(gain.judgement == "worse" for gain in gained)
            note = f"worse: {worse}; not told apart: {len(gained) - better - worse}"
            shown.append(Tile("better than random search", f"{better} of {len(gained)}", note))
    for title, field in (("parameters of the tree", "parameters"), ("MACs of the tree", "macs")):
        tree, separate = getattr(cost.tree, field), getattr(cost.separate, field)
        if tree is not None:
            saved = saving(tree, separate)
            note = f"{change(saved)} against separate networks" if saved is not None else ""
            shown.append(Tile(title, short_count(tree), note))
    return tuple(shown)
