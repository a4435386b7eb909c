"""fleet.json and the searches it names -> one entry per attribute: score, cost, freshness. Plain values, no drawing.

`fleet.json` is written by `graftnet report`: what only the project knows, and the searches know not, about each
attribute and the trunk. Paths in it count from its own folder, so that a copy of the project's runs/ still works.
"""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from foundation.files import read_json
from reports.comparison import Gain, gains, methods
from reports.errors import ReportError
from reports.intervals import score_interval
from reports.records import Records, read_records
from reports.summaries import METRIC_NAMES, reward_metric
from reports.values import items, number, numbers_of, table, text, whole
from reports.verdict import values_of

Counts = dict[str, dict[str, int]]  # split -> value -> images


class Costs(NamedTuple):
    """What a part costs; None where it was not measured. MACs and latency are for one image."""

    parameters: float | None
    macs: float | None
    latency_ms: float | None


class Entry(NamedTuple):
    """One attribute of the fleet.

    state: "current", "stale", "unfinished", "missing", "failed" (it cannot be searched) or "unchecked", for `reasons`.
    page: its report, counted from the fleet page. score: of the search's own metric on test, the mean over its
    trainings, with its 95 % interval over test images where there is one. on_trunk: made on the trunk in use.
    depth: blocks of the trunk it reads. tail: what the branch replaces.
    """

    attribute: str
    state: str
    reasons: tuple[str, ...]
    page: str | None
    values: tuple[str, ...]
    metric: str
    score: float | None
    low: float | None
    high: float | None
    test: dict[str, float]
    reduction: float | None
    gain: Gain | None
    branch: Costs
    tail: Costs
    depth: int | None
    fingerprint: str
    on_trunk: bool
    grafted: bool
    counts: Counts
    created: str

    @property
    def measured(self) -> bool:
        """Whether there is a branch with a test score."""
        return self.score is not None


class Fleet(NamedTuple):
    """The whole record, and its entries in the order it names them; `problems`: what cannot be read."""

    folder: Path
    record: dict[str, object]
    entries: tuple[Entry, ...]
    problems: tuple[str, ...]

    def trunk_costs(self, depth: int | None) -> Costs:
        """What the first `depth` blocks of the trunk in use cost."""
        return costs_of(table(table(table(self.record.get("trunk")).get("costs")).get(str(depth))))


def read_fleet(record_file: Path) -> Fleet:
    """Read `fleet.json` and the results beside it.

    Raises ReportError when the record is not there or is not one; what is wrong with a single search is a problem.
    """
    try:
        record = table(read_json(record_file))
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f"{record_file} cannot be read ({error}): write it with `graftnet report`.") from error
    folder = record_file.parent
    in_use = text(table(record.get("trunk")).get("fingerprint"))
    entries: list[Entry] = []
    problems: list[str] = []
    for known in map(table, items(record.get("attributes"))):
        name, place = text(known.get("attribute")) or "", text(known.get("search"))
        records = Records(folder, {}, {}, {}, (), ())
        if place is not None:
            try:
                records = read_records(folder / place, whole=False)
            except ReportError as error:
                problems.append(f"{name}: {error}")
                place = None
            if known.get("state") != "unfinished":
                problems += [f"{name}: {problem}" for problem in records.problems]
        entries.append(entry_of(name, known, records, address(place and f"{place}/report.html"), in_use))
    return Fleet(folder, record, tuple(entries), tuple(problems))


def entry_of(name: str, known: dict[str, object], records: Records, page: str | None, in_use: str | None) -> Entry:
    """One attribute, from what the project knows of it and from its search."""
    result, metric = records.result, reward_metric(records)
    winner = next((method for method in methods(records) if method.key == "winner"), None)
    counts = counts_of(result)
    score = winner.test_score if winner else None
    ends = score_interval(metric, score, counts.get("test", {})) if score is not None else None
    fingerprint = text(result.get("fingerprint")) or ""
    return Entry(
        attribute=name,
        state=text(known.get("state")) or "unchecked",
        reasons=tuple(filter(None, map(text, items(known.get("reasons"))))),
        page=page,
        values=values_of(records),
        metric=METRIC_NAMES[metric],
        score=score,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        test=numbers_of(result.get("test")),
        reduction=number(result.get("parameter_reduction")),
        gain=next((gain for gain in gains(records) if gain.key == "random"), None),
        branch=costs_of(result),
        tail=Costs(*(number(result.get(f"tail_{part}")) for part in Costs._fields)),
        depth=whole(result.get("freeze_depth")),
        fingerprint=fingerprint,
        on_trunk=bool(fingerprint) and fingerprint == in_use,
        grafted=known.get("grafted") is True,
        counts=counts,
        created=(text(result.get("created")) or "")[:10],
    )


def address(path: str | None) -> str | None:
    """A path as a link writes it: "50 %" and "#1" are parts of a name."""
    return quote(path) if path else None


def costs_of(record: dict[str, object]) -> Costs:
    """The entries `parameters`, `macs` and `latency_ms` of a record."""
    return Costs(*(number(record.get(part)) for part in Costs._fields))


def counts_of(result: dict[str, object]) -> Counts:
    """Images of each value in each split."""
    return {
        split: {value: known for value, images in table(by_value).items() if (known := whole(images)) is not None}
        for split, by_value in table(table(result.get("data")).get("counts")).items()
    }
