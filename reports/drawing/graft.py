"""Draw the graft point: the backbone's blocks in a row, the fork, the tail that the branch replaces."""

from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from reports.drawing.geometry import draw_arrow
from reports.drawing.surroundings import Surroundings
from reports.layout.figures import light, styled
from reports.layout.formats import short_count
from reports.summaries.search import Records
from reports.summaries.values import items, numbers, table, whole

MOST = 3  # blocks in a row that are drawn one by one; of more the first and the last: it must fit a telephone
BOX, GAP, HEIGHT, MARGIN = 52.0, 11.0, 34.0, 4.0  # points
BRANCH = 212.0
LANES = 104.0, 22.0  # heights of the middle of the tail's row and of the branch's


class Backbone(NamedTuple):
    """How many blocks a backbone has, how many of them are frozen, and the shape (C, H, W) after each, if recorded."""

    blocks: int
    frozen: int
    shapes: tuple[tuple[float, ...], ...]


def backbone_of(records: Records) -> Backbone | None:
    """The backbone of the trunk; None where the records do not say where it is cut."""
    trunk = table(records.result.get("trunk")) or table(records.config.get("trunk"))
    blocks = whole(trunk.get("blocks"))
    frozen = whole(records.result.get("freeze_depth", records.config.get("freeze_depth")))
    if not blocks or not frozen or frozen > blocks:
        return None
    shapes = tuple(numbers(shape) for shape in items(trunk.get("shapes")))
    known = len(shapes) == blocks and all(len(shape) == 3 for shape in shapes)
    return Backbone(blocks, frozen, shapes if known else ())


@styled
def graft_figure(backbone: Backbone, around: Surroundings) -> Figure:
    """Frozen blocks at the left, the graft point, above the backbone's own tail in dashes, below the branch."""
    trunk = _shown(0, backbone.frozen, MOST)
    tail = _shown(backbone.frozen, backbone.blocks, MOST)
    start = len(trunk) * (BOX + GAP) + 20
    lane = 24 + BRANCH
    width, height = start + lane + MARGIN * 2, LANES[0] + HEIGHT / 2 + 20 if tail else 96.0
    figure = Figure(figsize=(width / 72, height / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    middle = (LANES[0] + LANES[1]) / 2 + 2 if tail else LANES[1] + HEIGHT / 2
    edge = _row(axes, trunk, backbone, MARGIN, middle, "trunk_fill", "muted", "-")
    axes.text(
        MARGIN, middle + HEIGHT / 2 + 7, "trunk, frozen, shared by all attributes", size=8.5, color=light("muted")
    )
    fork = edge + GAP
    draw_arrow(axes, (edge, middle), (fork, middle), "ink")
    axes.plot([fork], [middle], "o", color=light("ink"), markersize=6, zorder=5)
    axes.text(fork + 9, middle, "graft point", size=8.5, weight="bold", va="center_baseline")
    left = fork + 24
    if tail:
        _way(axes, fork, middle, left, LANES[0], "tail", (0, (4, 2)))
        _row(axes, tail, backbone, left, LANES[0], "surface", "tail", (0, (4, 2)))
        words = f"tail it replaces{_costs(around.tail_parameters, around.tail_macs)}"
        axes.text(left, LANES[0] + HEIGHT / 2 + 7, words, size=8.5, color=light("tail"))
    target = LANES[1] if tail else middle
    _way(axes, fork, middle, left, target, "winner", "-")
    _box(axes, left, target, BRANCH, "convolution_fill", "winner", "-")
    costs = _costs(around.parameters, around.macs).removeprefix(": ")
    lift = 6.0 if costs else 0.0
    style: dict[str, Any] = {"va": "center_baseline", "color": light("winner")}
    axes.text(left + 10, target + lift, "branch", size=9, weight="bold", **style)
    axes.text(left + 10, target - 7.5, costs, size=8.5, **style)
    return figure


def _costs(parameters: float | None, macs: float | None) -> str:
    parts = [f"{short_count(parameters)} parameters"] if parameters is not None else []
    parts += [f"{short_count(macs)} MACs"] if macs is not None else []
    return f": {', '.join(parts)}" if parts else ""


def _shown(start: int, end: int, most: int) -> tuple[int | None, ...]:
    """The numbers of the blocks that are drawn; None stands for those left out in the middle."""
    blocks = tuple(range(start, end))
    return blocks if len(blocks) <= most else (blocks[0], None, blocks[-1])


def _row(
    axes: Axes, blocks: tuple[int | None, ...], backbone: Backbone, x: float, y: float, fill: str, edge: str, dash: Any
) -> float:
    """Boxes from x on, each with its number and shape, arrows between; returns where the last one ends."""
    for index, block in enumerate(blocks):
        if index:
            draw_arrow(axes, (x - GAP, y), (x, y), edge)
        if block is None:
            axes.text(x + BOX / 2, y, "…", ha="center", va="center", size=12, color=light("muted"))
        else:
            _box(axes, x, y, BOX, fill, edge, dash)
            shape = backbone.shapes[block] if backbone.shapes else ()
            lift = 6.0 if shape else 0.0
            style: dict[str, Any] = {"ha": "center", "va": "center_baseline"}
            axes.text(x + BOX / 2, y + lift, f"block {block}", size=8.5, weight="bold", **style)
            if shape:
                written = "×".join(f"{side:.0f}" for side in shape)
                axes.text(x + BOX / 2, y - 7.5, written, size=7.2, color=light("muted"), **style)
        x += BOX + GAP
    return x - GAP


def _box(axes: Axes, x: float, y: float, width: float, fill: str, edge: str, dash: Any) -> None:
    box = FancyBboxPatch(
        (x, y - HEIGHT / 2),
        width,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=4",
        facecolor=light(fill),
        edgecolor=light(edge),
        linewidth=1.0,
    )
    box.set_linestyle(dash)
    axes.add_patch(box)


def _way(axes: Axes, fork: float, start: float, left: float, end: float, role: str, dash: Any) -> None:
    """From the graft point up or down, and into the row."""
    axes.plot([fork, fork, left - 6], [start, end, end], color=light(role), linewidth=1.3, linestyle=dash)
    draw_arrow(axes, (left - 8, end), (left, end), role)
