"""Draw a branch: a column from the trunk's graft point down to the values, and beside it the tail it replaces.

Skips run in lanes at the right of the column, loose ends and the trunk's shortcut in lanes at its left.
"""

from typing import Any

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path as Outline

from reports.drawing.geometry import (
    BOX,
    LANE,
    MARGIN,
    RADIUS,
    SOLID,
    TAIL,
    Lane,
    Place,
    draw_arrow,
    draw_lines,
    draw_sum,
    elbow,
    lanes,
    places_of,
    steps,
)
from reports.drawing.graph import detail_of
from reports.drawing.surroundings import Surroundings, tail_lines
from reports.layout.figures import FAMILY_FILLS, light, styled

FILLS = {
    "trunk": "trunk_fill",
    "stem": "convolution_fill",
    "block": "convolution_fill",
    "head": "head_fill",
}
NUMBERED = ("node", "cell")
LINE = 12.5  # points from one line of text to the next


@styled
def architecture_figure(graph: nx.DiGraph, around: Surroundings) -> Figure:
    """The figure of `branch_graph`; its width follows from the lanes, its height from the number of nodes."""
    right, left = lanes(graph, ("skip",)), lanes(graph, ("loose", "shortcut"))
    places = places_of(graph)
    left_room = MARGIN + LANE * (0.6 + steps(left)) if left else MARGIN
    right_room = LANE * (0.6 + steps(right)) if right else 0.0
    has_tail = "tail" in graph
    width = left_room + BOX + right_room + (14 + TAIL if has_tail else 0.0) + MARGIN
    height = max(place.top for place in places.values()) + MARGIN
    figure = Figure(figsize=(width / 72, height / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    middle = left_room + BOX / 2
    sums = frozenset(name for name in places if graph.in_degree(name) > 1)
    for lane in sorted((*left, *right), key=lambda drawn: -drawn.step):
        _draw_lane(axes, lane, places, sums, middle, 1 if lane in right else -1)
    if has_tail:
        draw_tail(
            axes, places, left_room + BOX, left_room + BOX + right_room + 14, graph.nodes["tail"]["title"], around
        )
    for source, target, kind in graph.edges(data="kind"):
        if kind == "chain":
            draw_arrow(axes, (middle, places[source].bottom), (middle, places[target].top), "muted")
    for name, place in places.items():
        _draw_box(axes, graph.nodes[name], place, middle)
        if place.meeting is not None and place.meeting > place.top:
            draw_arrow(axes, (middle, place.meeting), (middle, place.top), "muted")
            if graph.in_degree(name) > 1:
                draw_sum(axes, middle, place.meeting)
    return figure


def _draw_box(axes: Axes, vertex: dict[str, object], place: Place, middle: float) -> None:
    kind = str(vertex["kind"])
    fill = FAMILY_FILLS.get(str(vertex.get("family")), "surface") if kind in NUMBERED else FILLS.get(kind, "surface")
    rounding = place.height / 2 if kind in ("mean", "values") else 5.0
    axes.add_patch(
        FancyBboxPatch(
            (middle - BOX / 2, place.bottom),
            BOX,
            place.height,
            boxstyle=f"round,pad=0,rounding_size={rounding}",
            facecolor=light(fill),
            edgecolor=light("muted"),
            linewidth=1.6 if kind == "values" else 0.9,
        )
    )
    title, detail = str(vertex["title"]), detail_of(vertex, short=True)
    shift = 0.0
    if kind in NUMBERED:
        edge = middle - BOX / 2
        axes.text(edge + 12, place.y, str(vertex["number"]), ha="center", va="center", size=9, color=light("muted"))
        axes.plot([edge + 23] * 2, [place.bottom + 6, place.top - 6], color=light("line"), linewidth=0.9)
        shift = 11.0
    lift = 6.0 if detail else 0.0
    weight = "normal" if kind == "mean" else "bold"
    size = 8.5 if kind == "mean" or len(title) > 24 else 9.0
    axes.text(middle + shift, place.y + lift, title, ha="center", va="center_baseline", size=size, weight=weight)
    if detail:
        size = 8.5 if len(detail) <= 30 else 7.5
        style: Any = {"ha": "center", "va": "center_baseline", "color": light("muted")}
        axes.text(middle + shift, place.y - 7.5, detail, size=size, **style)


def _draw_lane(
    axes: Axes, lane: Lane, places: dict[str, Place], sums: frozenset[str], middle: float, side: int
) -> None:
    """Out of the source's side, down the lane, and into each target; gaps show where lines only cross."""
    source = places[lane.source]
    edge, at = middle + side * BOX / 2, middle + side * (BOX / 2 + LANE * (lane.step + 1))
    role = {"skip": "skip", "loose": "winner", "shortcut": "shortcut"}[lane.kind]
    dash = (0, (4, 1.5)) if lane.kind == "shortcut" else SOLID
    start = source.y if lane.kind == "shortcut" else source.y - 5.0
    outlines, tips = [], []
    for target in lane.targets:
        place = places[target]
        assert place.meeting is not None
        level = place.meeting
        inner = edge if level <= place.top else middle + side * 6.0 if target in sums else middle
        outlines.append(elbow((edge, start), at, (inner + side * (3.0 if inner != middle else 0.0), level), side))
        if inner != middle:
            tips.append(((inner + side * 4.0, level), (inner, level)))
    draw_lines(axes, outlines, role, dash)
    for begin, end in tips:
        draw_arrow(axes, begin, end, role)
    if lane.kind == "shortcut":
        box = {"facecolor": light("surface"), "edgecolor": "none", "pad": 1.2}
        y = (source.y + places[lane.targets[-1]].y) / 2
        axes.text(
            at,
            y,
            "trunk features, averaged",
            rotation=90,
            ha="center",
            va="center",
            size=8,
            color=light(role),
            bbox=box,
        )


def draw_tail(axes: Axes, places: dict[str, Place], edge: float, left: float, title: str, around: Surroundings) -> None:
    """The tail as a dashed box beside the branch, with a bar that shows the branch's share of its parameters."""
    trunk, values = places["trunk"], places["values"]
    first = max((place for name, place in places.items() if name != "trunk"), key=lambda place: place.y)
    bottom, top = values.bottom, first.top
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom),
            TAIL,
            top - bottom,
            boxstyle="round,pad=0,rounding_size=5",
            facecolor="none",
            edgecolor=light("tail"),
            linewidth=1.1,
            linestyle=(0, (4, 2)),
        )
    )
    turn = left + TAIL / 2
    points = [(edge, trunk.y), (turn - RADIUS, trunk.y), (turn, trunk.y), (turn, trunk.y - RADIUS), (turn, top)]
    codes = [Outline.MOVETO, Outline.LINETO, Outline.CURVE3, Outline.CURVE3, Outline.LINETO]
    line = PathPatch(Outline(points, codes), facecolor="none", edgecolor=light("tail"), linewidth=1.3)
    line.set_linestyle((0, (4, 2)))
    axes.add_patch(line)
    head, _, rest = title.partition(": ")
    for offset, words, weight, colour in ((13, head, "bold", "ink"), (25, rest, "normal", "muted")):
        axes.text(
            left + TAIL / 2, top - offset, words, ha="center", va="baseline", size=9, weight=weight, color=light(colour)
        )
    bar_top, bar_bottom, bar = top - 36, bottom + 10, 14.0
    axes.add_patch(Rectangle((left + 9, bar_bottom), bar, bar_top - bar_bottom, facecolor=light("tail"), alpha=0.28))
    if around.parameters is not None and around.tail_parameters:
        part = min(around.parameters / around.tail_parameters, 1.0)
        reach = max(part * (bar_top - bar_bottom), 1.0)
        axes.add_patch(Rectangle((left + 9, bar_bottom), bar, reach, facecolor=light("winner")))
    own, branch = tail_lines(around)
    foot = bar_bottom + LINE * (len(branch) - 1)  # the branch's lines stand at the foot, beside its part of the bar
    for lines, start, colour in ((own, bar_top - 8, "tail"), (branch, foot, "winner")):
        for position, words in enumerate(lines):
            axes.text(left + 30, start - LINE * position, words, va="baseline", size=8.5, color=light(colour))
