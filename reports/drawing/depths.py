"""Depths of a trunk as `graftnet trunk probe` measured them: a figure, a table, and what they do not say.

Read from a probe's record; entries that are not what they should be are left out.
"""

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.layout.figures import legend, light, panel, styled
from reports.layout.formats import NOTHING, count, milliseconds, score, span
from reports.layout.pages import Picture, Section, Table, picture
from reports.summaries.values import items, number, table, text, whole

TITLE = "Where to cut the trunk"
FLOOR = (
    "A floor: these are averages of maps; a branch reads whole maps, and one from the middle of the trunk can beat "
    "every depth here."
)
RULE = (
    "Advised is the cheapest depth that falls short of the best by no more than one standard error of the difference "
    "(paired bootstrap over val images)."
)


class Depth(NamedTuple):
    """One depth: its last block, its map, the val AUROC of its averages with the 95 % interval, the trunk's time."""

    depth: int
    name: str
    channels: int | None
    map: str
    auroc: float
    ends: tuple[float, float] | None
    milliseconds: float | None


def depths_of(record: Mapping[str, object]) -> tuple[Depth, ...]:
    """The depths that a record has a score of, in their order."""
    known = []
    for row in map(table, items(record.get("depths"))):
        depth, auroc = whole(row.get("depth")), number(row.get("auroc"))
        if depth is None or auroc is None:
            continue
        height, width = whole(row.get("height")), whole(row.get("width"))
        low, high = number(row.get("low")), number(row.get("high"))
        known.append(
            Depth(
                depth,
                text(row.get("name")) or NOTHING,
                whole(row.get("channels")),
                f"{height}x{width}" if height and width else NOTHING,
                auroc,
                (low, high) if low is not None and high is not None else None,
                number(row.get("milliseconds")),
            )
        )
    return tuple(known)


def depths_section(record: Mapping[str, object], lead: str, caption: str) -> Section | None:
    """The figure and the table of a probe's record, or of the mean over several; None where it has no depths."""
    depths, advised = depths_of(record), whole(record.get("advised"))
    if not depths:
        return None
    best = max(depths, key=lambda depth: depth.auroc)
    words = f"Best at depth {best.depth} ({score(best.auroc, 3)}). {RULE}"
    drawn: tuple[Picture, ...] = (picture("depths", "Val AUROC by depth", depths_figure(depths, advised), words),)
    return Section("depths", TITLE, f"{lead} {FLOOR}", drawn, (depths_table(record, caption),), placement="beside")


def depths_table(record: Mapping[str, object], caption: str) -> Table:
    """A row per depth, the advised one marked, and one of all depths joined where the record has it."""
    depths, advised = depths_of(record), whole(record.get("advised"))
    rows = [
        (
            f"{depth.depth} {depth.name}",
            count(depth.channels),
            depth.map,
            score(depth.auroc, 3) + (f"\n{span(*depth.ends)}" if depth.ends else ""),
            milliseconds(depth.milliseconds),
        )
        for depth in depths
    ]
    joined = table(record.get("joined"))
    low, high = number(joined.get("low")), number(joined.get("high"))
    if (auroc := number(joined.get("auroc"))) is not None:
        ends = f"\n{span(low, high)}" if low is not None and high is not None else ""
        rows.append(("all joined", count(whole(joined.get("channels"))), NOTHING, score(auroc, 3) + ends, NOTHING))
    marked = next((at for at, depth in enumerate(depths) if depth.depth == advised), None)
    return Table(caption, ("depth, last block", "channels", "map", "val AUROC", "trunk"), tuple(rows), marked)


@styled
def depths_figure(depths: tuple[Depth, ...], advised: int | None) -> Figure:
    """The score by depth with its interval, and the advised depth."""
    figure, axes = panel("depth", "val AUROC of the averages")
    winner, places = light("winner"), [depth.depth for depth in depths]
    bands = [depth.ends or (depth.auroc, depth.auroc) for depth in depths]
    low, high = [band[0] for band in bands], [band[1] for band in bands]
    if any(depth.ends for depth in depths):
        axes.fill_between(places, low, high, color=winner, alpha=0.16, linewidth=0, label="95 % interval")
    axes.plot(places, [depth.auroc for depth in depths], color=winner, marker="o", markersize=3.4, label="val AUROC")
    if advised in places:
        axes.axvline(advised, color=light("muted"), linestyle=(0, (2, 2)), linewidth=1.2, label="advised")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    legend(axes)
    return figure
