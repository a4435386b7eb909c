"""One cell drawn: its inputs at the top, per node its two operations side by side and their sum, its output below.

A line from what stands right above runs straight down; every other one in a lane at the operation's own side. Loose
ends run at the left.
"""

from typing import Any, NamedTuple

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from reports.drawing.geometry import LANE, MARGIN, free_steps
from reports.drawing.lines import draw_arrow, draw_lines, elbow
from reports.layout.palette import FAMILY_FILLS, light
from reports.layout.svg import styled

OPERATION = 116.0  # points, as everything below
PILL = 128.0
COLUMN_GAP = 14.0
HEIGHTS = {"operation": 33.0, "merge": 33.0}
HEIGHT = 19.0
GAP = 17.0
FILLS = {"input": "trunk_fill", "merge": "convolution_fill"}
LEFT, RIGHT = -1, 1


class Spot(NamedTuple):
    """A box: its middle, width and height."""

    x: float
    y: float
    width: float
    height: float

    def side(self, side: int) -> float:
        """The x of its left (-1) or right (1) side."""
        return self.x + side * self.width / 2


class Way(NamedTuple):
    """A line of one source along a side, in the lane `step` (0 is next to the boxes)."""

    source: str
    targets: tuple[str, ...]
    kind: str
    side: int
    step: int


def ways(graph: nx.DiGraph) -> tuple[Way, ...]:
    """The lines of a `cell_graph` that do not run straight down; no two on one lane run past the same place."""
    row = {name: vertex["row"] for name, vertex in graph.nodes(data=True)}
    reach: dict[tuple[int, str, str], list[str]] = {}
    for source, target, kind in graph.edges(data="kind"):
        if kind != "chain":
            side = RIGHT if graph.nodes[target].get("column") == "right" else LEFT
            reach.setdefault((side, source, kind), []).append(target)
    found = []
    for side in (LEFT, RIGHT):
        lines = sorted(
            (max(row[target] for target in targets) - row[source], row[source], source, kind, tuple(targets))
            for (at, source, kind), targets in reach.items()
            if at == side
        )
        levels = free_steps([(start, start + length) for length, start, *_ in lines])
        found += [
            Way(source, targets, kind, side, step)
            for step, (_, _, source, kind, targets) in zip(levels, lines, strict=True)
        ]
    return tuple(found)


def spots_of(graph: nx.DiGraph, left: float) -> dict[str, Spot]:
    """Where the boxes stand; `left` is the x where the left column begins."""
    rows: dict[int, list[str]] = {}
    for name, row in graph.nodes(data="row"):
        rows.setdefault(row, []).append(name)
    middle = left + OPERATION + COLUMN_GAP / 2
    shift = {"left": -(OPERATION + COLUMN_GAP) / 2, "right": (OPERATION + COLUMN_GAP) / 2}
    spots, bottom = {}, MARGIN
    for row in sorted(rows, reverse=True):
        height = max(HEIGHTS.get(graph.nodes[name]["kind"], HEIGHT) for name in rows[row])
        for name in rows[row]:
            column = graph.nodes[name].get("column")
            width = OPERATION if column else PILL
            spots[name] = Spot(middle + shift.get(column, 0.0), bottom + height / 2, width, height)
        bottom += height + GAP
    return spots


@styled
def cell_figure(graph: nx.DiGraph) -> Figure:
    """The figure of a `cell_graph`."""
    lines = ways(graph)
    lanes = {side: 1 + max((way.step for way in lines if way.side == side), default=-1) for side in (LEFT, RIGHT)}
    left = MARGIN + LANE * (lanes[LEFT] + 0.6)
    spots = spots_of(graph, left)
    width = left + 2 * OPERATION + COLUMN_GAP + LANE * (lanes[RIGHT] + 0.6) + MARGIN
    height = max(spot.y + spot.height / 2 for spot in spots.values()) + MARGIN
    figure = Figure(figsize=(width / 72, height / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    for way in sorted(lines, key=lambda one: -one.step):
        edge = left if way.side == LEFT else left + 2 * OPERATION + COLUMN_GAP
        _draw_way(axes, way, spots, edge + way.side * LANE * (way.step + 0.8))
    for source, target, kind in graph.edges(data="kind"):
        if kind == "chain":
            _draw_down(axes, spots[source], spots[target])
    for name, vertex in graph.nodes(data=True):
        _draw_box(axes, vertex, spots[name])
    return figure


def _draw_way(axes: Axes, way: Way, spots: dict[str, Spot], lane: float) -> None:
    role = "winner" if way.kind == "loose" else "skip"
    source = spots[way.source]
    start = (source.side(way.side), source.y + (4.0 if way.kind == "loose" else -4.0))
    ends = [(spots[target].side(way.side), spots[target].y) for target in way.targets]
    draw_lines(axes, [elbow(start, lane, (x + way.side * 3.0, y), way.side) for x, y in ends], role)
    for x, y in ends:
        draw_arrow(axes, (x + way.side * 4.0, y), (x, y), role)


def _draw_down(axes: Axes, source: Spot, target: Spot) -> None:
    """Straight down between the nearest points of the two boxes' sides."""
    reach = (source.width - 24.0) / 2, (target.width - 24.0) / 2
    start = min(max(target.x, source.x - reach[0]), source.x + reach[0])
    end = min(max(start, target.x - reach[1]), target.x + reach[1])
    draw_arrow(axes, (start, source.y - source.height / 2), (end, target.y + target.height / 2), "muted")


def _draw_box(axes: Axes, vertex: dict[str, object], spot: Spot) -> None:
    kind = str(vertex["kind"])
    fill = FAMILY_FILLS[str(vertex["family"])] if kind == "operation" else FILLS.get(kind, "surface")
    axes.add_patch(
        FancyBboxPatch(
            (spot.side(LEFT), spot.y - spot.height / 2),
            spot.width,
            spot.height,
            boxstyle=f"round,pad=0,rounding_size={5.0 if kind in HEIGHTS else spot.height / 2}",
            facecolor=light(fill),
            edgecolor=light("muted"),
            linewidth=1.6 if kind == "output" else 0.9,
            zorder=3,
        )
    )
    title, detail = str(vertex["title"]), str(vertex["detail"])
    if kind in ("sum", "input"):
        title = f"{vertex['number']}:  {title}"
    lift = 6.0 if kind in HEIGHTS and detail else 0.0
    style: dict[str, Any] = {"ha": "center", "va": "center_baseline", "zorder": 4}
    axes.text(spot.x, spot.y + lift, title, size=9, weight="bold" if kind == "operation" else "normal", **style)
    if lift:
        axes.text(spot.x, spot.y - 7.5, detail, size=8.5, color=light("muted"), **style)
