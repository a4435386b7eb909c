"""Cells of a micro architecture: each kind as a graph, a drawing and a table.

A graph's vertices have `kind`, `title`, `detail`, and a place: `row` from the top and, for operations, `column` "left"
or "right". Edges have `kind`: "chain" (to what stands next below), "skip" (past something) or "loose" (a loose end's
way). In the drawing a line from what stands right above runs straight down; every other one in a lane at the
operation's own side. Loose ends run at the left.
"""

from typing import Any, NamedTuple

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from reports.drawing.geometry import LANE, MARGIN, draw_arrow, draw_lines, elbow, free_steps
from reports.layout.figures import FAMILY_FILLS, light, styled
from reports.layout.formats import ACTIVATION_NAMES, OPERATION_NAMES, family_of
from reports.layout.pages import Picture, Table, picture
from search_spaces import Architecture, CellPlan, MicroPlan, micro_plan
from search_spaces.micro import FIRST_NODE

OPERATION = 116.0  # points, as everything below
PILL = 128.0
COLUMN_GAP = 14.0
HEIGHTS = {"operation": 33.0, "merge": 33.0}
HEIGHT = 19.0
GAP = 17.0
FILLS = {"input": "trunk_fill", "merge": "convolution_fill"}
LEFT, RIGHT = -1, 1
SIDES = ("left", "right")
CAPTION = (
    "Every operation has batch norm; a node sums two of them before its activation. Orange lines come from further "
    "up, blue lines are loose ends. Boxes: blue convolution, green separable convolution, orange pooling."
)
REDUCTION_CAPTION = (
    "In a reduction cell, operations on the cell's inputs have stride 2, so that its map has half the sides."
)


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
    lanes = []
    for side in (LEFT, RIGHT):
        lines = sorted(
            (max(row[target] for target in targets) - row[source], row[source], source, kind, tuple(targets))
            for (at, source, kind), targets in reach.items()
            if at == side
        )
        levels = free_steps([(start, start + length) for length, start, *_ in lines])
        lanes += [
            Way(source, targets, kind, side, step)
            for step, (_, _, source, kind, targets) in zip(levels, lines, strict=True)
        ]
    return tuple(lanes)


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
    for way in sorted(lines, key=lambda line: -line.step):
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
    fill = FAMILY_FILLS.get(str(vertex["family"]), "surface") if kind == "operation" else FILLS.get(kind, "surface")
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


def shown_cells(micro: MicroPlan) -> tuple[CellPlan, ...]:
    """One cell of each kind, the last: the first of a stack has but one input."""
    last = {cell.kind: cell for cell in micro.cells}
    return tuple(sorted(last.values(), key=lambda cell: cell.reduction))


def cell_graph(cell: CellPlan, width: int) -> nx.DiGraph:
    """The graph of a cell of this width."""
    graph = nx.DiGraph()
    above = ""
    for number, source in enumerate(cell.sources):
        if source is not None:
            above = f"input{number}"
            title = _input_title(cell, number)
            graph.add_node(above, kind="input", number=number, title=title, detail="", row=len(graph))
    row = len(graph)
    for number, node in enumerate(cell.nodes, start=FIRST_NODE):
        activation = ACTIVATION_NAMES[node.activation]
        pairs = list(zip(node.operations, node.inputs, SIDES, strict=True))
        for operation, source, column in pairs:
            name = f"node{number}.{column}"
            stride = ", stride 2" if cell.reduction and source < FIRST_NODE else ""
            graph.add_node(
                name,
                kind="operation",
                family=family_of(operation),
                title=OPERATION_NAMES[operation],
                detail=f"of {source}{stride}",
                row=row,
                column=column,
            )
            vertex = _vertex(source)
            graph.add_edge(vertex, name, kind="chain" if vertex == above else "skip")
        above, row = f"node{number}", row + 2
        graph.add_node(above, kind="sum", number=number, title=f"sum, {activation}", detail="", row=row - 1)
        graph.add_edges_from((f"{above}.{column}", above, {"kind": "chain"}) for column in SIDES)
    if len(cell.loose) > 1:
        graph.add_node("join", kind="join", title=f"join {len(cell.loose)} loose ends", detail="", row=row)
        for source in cell.loose:
            vertex = _vertex(source)
            graph.add_edge(vertex, "join", kind="chain" if vertex == above else "loose")
        title, detail = "convolution 1×1", f"ReLU, {len(cell.loose)}·{width} to {width}"
        graph.add_node("merge", kind="merge", title=title, detail=detail, row=row + 1)
        graph.add_edge("join", "merge", kind="chain")
        above, row = "merge", row + 2
    graph.add_node("output", kind="output", title="output of the cell", detail="", row=row)
    graph.add_edge(above, "output", kind="chain")
    return graph


def cell_rows(cell: CellPlan) -> tuple[tuple[str, str, str], ...]:
    """(node, what it computes, what it reads) for a table."""
    rows = []
    for number, node in enumerate(cell.nodes, start=FIRST_NODE):
        parts = [
            f"{OPERATION_NAMES[operation]} of {_source_words(source)}"
            for operation, source in zip(node.operations, node.inputs, strict=True)
        ]
        activation = ACTIVATION_NAMES[node.activation]
        read = "output" if number in cell.loose else "other nodes"
        rows.append((f"node\N{NO-BREAK SPACE}{number}", f"{parts[0]} + {parts[1]}, {activation}", read))
    return tuple(rows)


def _vertex(source: int) -> str:
    return f"node{source}" if source >= FIRST_NODE else f"input{source}"


def _source_words(source: int) -> str:
    return f"{'node' if source >= FIRST_NODE else 'input'}\N{NO-BREAK SPACE}{source}"


def _input_title(cell: CellPlan, number: int) -> str:
    if cell.number == 1:
        return "the stem"
    return "one cell back" if number else f"two cells back{', halved' if cell.halved else ''}"


def cell_pictures(architecture: Architecture, prefix: str = "") -> tuple[Picture, ...]:
    """A drawing per kind of cell; `prefix` of their names, where a page shows several architectures."""
    if architecture.space != "micro":
        return ()
    micro = micro_plan(architecture)
    return tuple(
        picture(
            f"{prefix}{cell.kind}-cell",
            f"The {cell.kind} cell",
            cell_figure(cell_graph(cell, micro.width)),
            REDUCTION_CAPTION if cell.reduction else CAPTION,
            f"The {cell.kind} cell. {' '.join(f'{node}: {computes}.' for node, computes, _ in cell_rows(cell))}",
        )
        for cell in shown_cells(micro)
    )


def cell_tables(architecture: Architecture) -> tuple[Table, ...]:
    """A table per kind of cell: what each node computes."""
    if architecture.space != "micro":
        return ()
    return tuple(
        Table(
            f"The {cell.kind} cell; its inputs 0 and 1 are as in the drawing.",
            ("part", "what it computes", "read by"),
            cell_rows(cell),
        )
        for cell in shown_cells(micro_plan(architecture))
    )
