"""Entries of the page over all attributes, from fleet.json and the searches it names: score, cost, freshness.

`fleet.json` is written by `graftnet report`: what only the project knows, and the searches know not, about each
attribute and the trunk. Paths in it count from its own folder, so that a copy of the project's runs/ still works.
"""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from foundation.errors import RecordError
from foundation.files import read_json
from reports.errors import ReportError
from reports.layout.formats import METRIC_NAMES
from reports.summaries.comparison import Gain, gain_over_random, score_interval, winner_of
from reports.summaries.search import Costs, Counts, Records, costs_of, counts_of, read_records, reward_metric, values_of
from reports.summaries.values import items, number, numbers_of, table, text, whole


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

    @property
    def measured(self) -> list[Entry]:
        """The entries with a test score."""
        return [entry for entry in self.entries if entry.measured]

    def trunk_costs(self, depth: int | None) -> Costs:
        """What the first `depth` blocks of the trunk in use cost."""
        return costs_of(table(table(table(self.record.get("trunk")).get("costs")).get(str(depth))))


def read_fleet(record_file: Path) -> Fleet:
    """Read `fleet.json` and the results beside it.

    Raises ReportError when the record is not there or is not one; what is wrong with a single search is a problem.
    """
    try:
        record = table(read_json(record_file))
    except RecordError as error:
        raise ReportError(f"{str(error).rstrip('.')}; `graftnet report` writes it anew.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f"{record_file} cannot be read ({error}): write it with `graftnet report`.") from error
    folder = record_file.parent
    in_use = text(table(record.get("trunk")).get("fingerprint"))
    entries: list[Entry] = []
    problems: list[str] = []
    for known in map(table, items(record.get("attributes"))):
        name, search = text(known.get("attribute")) or "", text(known.get("search"))
        records = Records(folder, {}, {}, {}, (), ())
        if search is not None:
            try:
                records = read_records(folder / search, whole=False)
            except ReportError as error:
                problems.append(f"{name}: {error}")
                search = None
            if known.get("state") != "unfinished":
                problems += [f"{name}: {problem}" for problem in records.problems]
        entries.append(entry_of(name, known, records, address(search and f"{search}/report.html"), in_use))
    return Fleet(folder, record, tuple(entries), tuple(problems))


def entry_of(name: str, known: dict[str, object], records: Records, page: str | None, in_use: str | None) -> Entry:
    """One attribute, from what the project knows of it and from its search."""
    result, metric = records.result, reward_metric(records)
    winner = winner_of(records)
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
        gain=gain_over_random(records),
        branch=costs_of(result),
        tail=costs_of(result, "tail_"),
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
