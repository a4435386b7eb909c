"""The tail that a branch replaces, drawn beside it, with a bar that shows the branch's share of its parameters."""

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path as Outline

from reports.drawing.geometry import RADIUS, TAIL, Place
from reports.drawing.surroundings import Surroundings, tail_lines
from reports.layout.palette import light

LINE = 12.5  # points from one line of text to the next


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
