"""The graph of a micro branch: its cells, stacked between stem and head."""

import networkx as nx

from reports.drawing.ends_graph import add_head, add_stem, area
from reports.drawing.surroundings import Surroundings
from search_spaces import CellPlan, MicroPlan

Sides = tuple[int, ...]


def micro_graph(micro: MicroPlan, around: Surroundings) -> nx.DiGraph:
    """See `reports.drawing.graph` for what vertices and edges carry."""
    graph = nx.DiGraph()
    add_stem(graph, micro.width, around)
    sides: dict[int | None, Sides] = {0: around.shape[1:] if around.shape else ()}
    above = "stem"
    for cell in micro.cells:
        name = f"cell{cell.number}"
        sides[cell.number], detail = _shapes(cell, sides, micro.width)
        graph.add_node(
            name, kind="cell", family=cell.kind, number=cell.number, title=f"{cell.kind} cell", detail=detail
        )
        for source in cell.sources:
            if source is not None:
                vertex = f"cell{source}" if source else "stem"
                graph.add_edge(vertex, name, kind="chain" if vertex == above else "skip")
        above = name
    add_head(
        graph,
        above,
        around,
        width=micro.width,
        sides=sides[micro.cells[-1].number],
        pooling=micro.pooling,
        shortcut=micro.shortcut,
    )
    return graph


def _shapes(cell: CellPlan, sides: dict[int | None, Sides], width: int) -> tuple[Sides, str]:
    """The sides of the map that a cell gives, and the shapes of what it reads and gives in words."""
    before, previous = cell.sources
    read = sides[before] if previous is None else sides[previous]
    inside = _halved(read) if previous is None and cell.halved else read
    given = _halved(inside) if cell.reduction else inside
    if not read:
        return given, f"width {width}"
    shapes = dict.fromkeys(f"{width}{area(one)}" for one in (read, inside, given))
    return given, " to ".join(shapes)


def _halved(sides: Sides) -> Sides:
    return tuple((side + 1) // 2 for side in sides)
