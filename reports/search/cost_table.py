"""Records -> what the branch costs beside the tail that it replaces: parameters, MACs, latency, bytes on disk."""

from reports.layout.formats import NOTHING, change, count, file_size, milliseconds, short_count
from reports.layout.pages import Table
from reports.summaries.comparison import winner_name
from reports.summaries.search import Records
from reports.summaries.values import number

ROWS = (
    ("parameters", "parameters", count),
    ("MACs per image", "macs", short_count),
    ("latency", "latency_ms", milliseconds),
    ("size on disk", "bytes", file_size),
)


def cost_table(records: Records) -> Table | None:
    """A row per cost that is known of the branch; None before there is a winner."""
    result, rows = records.result, []
    for name, key, written in ROWS:
        own, tail = number(result.get(key)), number(result.get(f"tail_{key}"))
        if own is not None:
            saved = change(1 - own / tail) if tail else NOTHING
            rows.append((name, written(own), written(tail), saved))
    if not rows:
        return None
    caption = "What the branch costs on top of the trunk, which all attributes share, and the tail that it replaces."
    return Table(caption, ("", winner_name(records), "tail", "change"), tuple(rows))
