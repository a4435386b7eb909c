"""What the controller chose -> a matplotlib figure: the share of every operation over the child epochs."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from reports.layout.figures import panel
from reports.layout.palette import light
from reports.layout.part_names import OPERATION_NAMES, family_of
from reports.layout.svg import styled
from reports.summaries.choices import Shares

ROLES = {"conv": "winner", "separable": "probe", "pooling": "random", "identity": "muted"}
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.6, 1.4, 1.6)))
LABEL = 0.075  # of the height of the plot, the least between two labels


@styled
def choices_figure(shares: Shares) -> Figure:
    """A line per operation, named at its end; the colour tells the family, the dashes its members apart."""
    figure, axes = panel("child epoch", "share of the sampled operations", width=7.4)
    top = max(max(line) for line in shares.shares.values())
    seen: dict[str, int] = {}
    ends = []
    for name, line in shares.shares.items():
        family = family_of(name)
        role = ROLES.get(family, "tail")
        dash = DASHES[seen.setdefault(role, 0) % len(DASHES)]
        seen[role] += 1
        marker = "o" if len(line) == 1 else None
        axes.plot(shares.epochs, line, color=light(role), linestyle=dash, marker=marker, markersize=4)
        ends.append((line[-1], OPERATION_NAMES.get(name, name), role))
    axes.set_ylim(0, top * 1.08)
    axes.set_xlim(0, max(max(shares.epochs), 1))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _name_ends(axes, ends, top * 1.08)
    return figure


def _name_ends(axes: Axes, ends: list[tuple[float, str, str]], top: float) -> None:
    """Labels right of the plot at the heights where the lines end, moved apart where they would overlap."""
    ends.sort(key=lambda end: end[0])
    heights: list[float] = []
    for value, _, _ in ends:
        at = value / top
        heights.append(max(at, heights[-1] + LABEL) if heights else at)
    over = max(0.0, heights[-1] - 1.0)
    for place in range(len(heights) - 1, -1, -1):
        above = heights[place + 1] - LABEL if place + 1 < len(heights) else 1.0
        heights[place] = min(heights[place], above) if over else heights[place]
    for height, (_, words, role) in zip(heights, ends, strict=True):
        axes.annotate(
            words, (1, height), (5, 0), xycoords="axes fraction", textcoords="offset points", va="center", size=8.5,
            color=light(role),
        )  # fmt: skip
