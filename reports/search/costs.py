"""Records -> what branches cost at most and in fact: the limits of the search, its Pareto front, measured latency."""

from typing import NamedTuple

from reports.layout.formats import count, milliseconds, score, short_count
from reports.layout.pages import Table
from reports.summaries.curves import METRIC_NAMES, reward_metric
from reports.summaries.search import Records
from reports.summaries.values import items, number, table, text, whole

LIMIT_NAMES = {"parameters": "parameters", "macs": "MACs", "latency_ms": "ms"}


class FrontEntry(NamedTuple):
    """A candidate that no other one beats in score, parameters, MACs and latency together; `score` is the shared."""

    identity: str
    score: float | None
    parameters: float | None
    macs: float | None
    latency_ms: float | None


def front(records: Records) -> tuple[FrontEntry, ...]:
    """The Pareto front, smallest first; empty where the search recorded none."""
    return tuple(
        FrontEntry(identity, *(number(one.get(key)) for key in ("score", "parameters", "macs", "latency_ms")))
        for one in map(table, items(records.result.get("front")))
        if (identity := text(one.get("identity"))) is not None
    )


def limits_sentence(records: Records) -> str:
    """The limits that every architecture was drawn within; empty where there were none."""
    limits = table(records.result.get("limits"))
    known = [(name, value) for key, name in LIMIT_NAMES.items() if (value := number(limits.get(key))) is not None]
    if not known:
        return ""
    parts = [f"{value:g} {name}" if name == "ms" else f"{count(value)} {name}" for name, value in known]
    return f"Every architecture was drawn within the limits of this search: at most {' and '.join(parts)}."


def latency_sentence(records: Records) -> str:
    """How latency was measured; empty where it was not."""
    latency = table(records.result.get("latency"))
    device, batch, threads = text(latency.get("device")), whole(latency.get("batch")), whole(latency.get("threads"))
    if device is None or batch is None:
        return ""
    where = device if threads is None or device != "cpu" else f"cpu, {threads} thread{'' if threads == 1 else 's'}"
    images = "one image" if batch == 1 else f"{batch} images"
    return (
        f" Latency: features in, logits out, {images} on {where}; the median of {count(number(latency.get('runs')))}."
    )


def front_table(records: Records, rows: int = 12) -> Table | None:
    """The front, thinned to `rows` entries with both ends; None where there is none."""
    entries = front(records)
    if not entries:
        return None
    step = max(1.0, (len(entries) - 1) / (rows - 1))
    places = sorted({round(place * step) for place in range(min(rows, len(entries)))})
    cells = tuple(
        (
            one.identity,
            count(one.parameters),
            short_count(one.macs),
            milliseconds(one.latency_ms),
            score(one.score),
        )
        for one in (entries[place] for place in places)
    )
    chosen = text(records.result.get("identity"))
    marked = next((row for row, cell in enumerate(cells) if cell[0] == chosen), None)
    which = f"{len(places)} of the {len(entries)}" if len(places) < len(entries) else f"The {len(entries)}"
    caption = (
        f"{which} candidates on the Pareto front: none is better in one of these columns and no worse in the others."
        f"{latency_sentence(records)}"
    )
    head = (
        "architecture",
        "parameters",
        "MACs",
        "latency",
        f"val {METRIC_NAMES[reward_metric(records)]}, shared weights",
    )
    return Table(caption, head, cells, marked)
