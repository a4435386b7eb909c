"""Geometry of a drawn branch: boxes in a column, lines along its sides in lanes, arrows."""

from collections.abc import Sequence
from typing import NamedTuple

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, PathPatch
from matplotlib.path import Path as Outline

from reports.layout.figures import light

BOX = 172.0  # points, as everything below
LANE = 13.0
TAIL = 124.0
GAP = 15.0
SUM = 15.0  # extra room above a vertex where lines meet
MARGIN = 3.0
HEIGHTS = {"mean": 19.0}
HEIGHT = 33.0
RADIUS = 6.0
Point = tuple[float, float]
Dash = tuple[float, tuple[float, ...]]
SOLID: Dash = (0, ())


class Place(NamedTuple):
    """A box of the column: its middle and height; `meeting`: where lines from the sides come in, None without any."""

    y: float
    height: float
    meeting: float | None

    @property
    def top(self) -> float:
        return self.y + self.height / 2

    @property
    def bottom(self) -> float:
        return self.y - self.height / 2


class Lane(NamedTuple):
    """One source's line along a side of the column: `step` 0 is next to the boxes."""

    source: str
    targets: tuple[str, ...]
    kind: str
    step: int


def lanes(graph: nx.DiGraph, kinds: tuple[str, ...]) -> tuple[Lane, ...]:
    """A lane per source of such edges: short ones inside, no two that run past the same place on one step."""
    row = {name: position for position, name in enumerate(column(graph))}
    reach: dict[tuple[str, str], list[str]] = {}
    for source, target, kind in graph.edges(data="kind"):
        if kind in kinds:
            reach.setdefault((source, kind), []).append(target)
    spans = sorted(
        ((max(row[target] for target in targets) - row[source], row[source], source, kind, targets))
        for (source, kind), targets in reach.items()
    )
    levels = free_steps([(start, start + length) for length, start, *_ in spans])
    return tuple(
        Lane(source, tuple(sorted(targets, key=row.__getitem__)), kind, step)
        for step, (_, _, source, kind, targets) in zip(levels, spans, strict=True)
    )


def free_steps(spans: Sequence[tuple[int, int]]) -> list[int]:
    """A step for each span (start, end), the first free one: no two that overlap are on one step."""
    taken: list[list[tuple[int, int]]] = []
    chosen = []
    for start, end in spans:
        step = 0
        while step < len(taken) and any(start < other_end and other < end for other, other_end in taken[step]):
            step += 1
        if step == len(taken):
            taken.append([])
        taken[step].append((start, end))
        chosen.append(step)
    return chosen


def column(graph: nx.DiGraph) -> tuple[str, ...]:
    """The vertices of the branch from top to bottom, in the order they compute."""
    order = {name: position for position, name in enumerate(graph)}
    return tuple(name for name in nx.lexicographical_topological_sort(graph, key=order.__getitem__) if name != "tail")


def steps(lanes: tuple[Lane, ...]) -> int:
    """How many lanes lie side by side."""
    return 1 + max(lane.step for lane in lanes)


def places_of(graph: nx.DiGraph) -> dict[str, Place]:
    """The place of every box, from the last, which stands on the margin, up."""
    places: dict[str, Place] = {}
    bottom = MARGIN
    for name in reversed(column(graph)):
        kind = graph.nodes[name]["kind"]
        height = HEIGHTS.get(kind, HEIGHT)
        from_side = any(graph.edges[edge]["kind"] not in ("chain", "tail") for edge in graph.in_edges(name))
        above = kind == "node" and from_side
        meeting = bottom + height + 13 if above else bottom + height / 2 if from_side else None
        places[name] = Place(bottom + height / 2, height, meeting)
        bottom += height + GAP + (SUM if above else 0.0)
    return places


def draw_sum(axes: Axes, x: float, y: float) -> None:
    axes.add_patch(Circle((x, y), 5.5, facecolor=light("surface"), edgecolor=light("muted"), linewidth=0.9, zorder=4))
    axes.plot([x - 2.8, x + 2.8], [y, y], color=light("ink"), linewidth=1.1, zorder=5)
    axes.plot([x, x], [y - 2.8, y + 2.8], color=light("ink"), linewidth=1.1, zorder=5)


def draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], role: str) -> None:
    arrow = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=7, shrinkA=0, shrinkB=0.5, zorder=3)
    arrow.set(color=light(role), linewidth=1.3, joinstyle="miter")
    axes.add_patch(arrow)


def elbow(start: Point, lane: float, end: Point, side: int) -> Outline:
    """From `start` sideways to the lane at x = `lane`, down, and back to `end`; `side` is 1 at the right, -1 left."""
    bend = lane - side * RADIUS
    (left, top), (inner, level) = start, end
    points = [(left, top), (bend, top), (lane, top), (lane, top - RADIUS), (lane, level + RADIUS), (lane, level)]
    return Outline([*points, (bend, level), (inner, level)], [1, 2, 3, 3, 2, 3, 3, 2])


def draw_lines(axes: Axes, outlines: Sequence[Outline], role: str, dash: Dash = SOLID) -> None:
    """The outlines in one colour; gaps in what is below show where lines only cross."""
    for colour, width, drawn in (("surface", 4.6, SOLID), (role, 1.6, dash)):
        for outline in outlines:
            line = PathPatch(outline, facecolor="none", edgecolor=light(colour), linewidth=width, zorder=2)
            line.set_linestyle(drawn)
            axes.add_patch(line)
