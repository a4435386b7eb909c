"""The lines of a drawing: arrows, and lines that leave a box at its side, run down a lane and enter another."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, PathPatch
from matplotlib.path import Path as Outline

from reports.drawing.geometry import RADIUS
from reports.layout.palette import light

Point = tuple[float, float]
Dash = tuple[float, tuple[float, ...]]
SOLID: Dash = (0, ())


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
