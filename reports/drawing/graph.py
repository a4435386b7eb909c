"""Graph of a branch, from the trunk to the values, for each search space.

Every vertex has `kind`, `title` and `detail`, nodes and cells a `number` and a `family` too ("block": the backbone's
own), where they are recorded `weights`, its parameters; every edge has `kind`:
"chain", "skip" (past at least one node or cell), "loose" (a loose end's way into the mean), "shortcut" (the trunk's
features, averaged, into the head) or "tail".
"""

from collections.abc import Callable, Mapping
from math import prod

import networkx as nx

from reports.drawing.surroundings import Surroundings, shape_of, tail_title, threshold_of, trunk_title, values_title
from reports.layout.formats import ACTIVATION_NAMES, OPERATION_NAMES, count, family_of, short_count
from reports.summaries.values import number
from search_spaces import (
    Architecture,
    CellPlan,
    MacroPlan,
    MicroPlan,
    SpaceError,
    TailPlan,
    micro_plan,
    plan,
    space_of,
    tail_plan,
)
from search_spaces.operations import POOLED

Sides = tuple[int, ...]


def architecture_of(record: dict[str, object]) -> Architecture:
    """The architecture of a record, checked against its space. Raises SpaceError when it is not one."""
    architecture = Architecture.from_json(record)
    try:
        space_of(architecture)
    except (TypeError, ValueError, LookupError) as error:
        raise SpaceError(str(error)) from error
    return architecture


def branch_graph(architecture: Architecture, around: Surroundings) -> nx.DiGraph:
    """The graph of an architecture. Raises SpaceError for a space there is no drawing of."""
    if architecture.space not in GRAPHS:
        raise SpaceError(f"there is no drawing for the {architecture.space!r} space")
    graph = GRAPHS[architecture.space](architecture, around)
    for part, weights in around.parts:
        vertex = "linear" if part == "head" else part  # pooling has none
        if vertex in graph and weights:
            graph.nodes[vertex]["weights"] = weights
    return graph


def describe(graph: nx.DiGraph) -> str:
    """The graph in words, for those who cannot see the drawing."""
    sentences = [f"{graph.nodes['trunk']['title']}, {graph.nodes['trunk']['detail']}."]
    for name, vertex in graph.nodes(data=True):
        if vertex["kind"] in ("trunk", "tail"):
            continue
        sources = " and ".join(_called(source) for source in graph.predecessors(name))
        detail = f" ({written})" if (written := detail_of(vertex)) else ""
        numbered = {"node": f"Node {vertex.get('number')}, ", "cell": f"Cell {vertex.get('number')}, "}
        called = numbered.get(vertex["kind"], "") + vertex["title"]
        sentences.append(f"{called}{detail} reads {sources}.")
    return " ".join(sentences)


def detail_of(vertex: Mapping[str, object], short: bool = False) -> str:
    """The second line of a vertex: its detail, and how many parameters it has; `short`: as in a drawing."""
    weights = number(vertex.get("weights"))
    known = "" if weights is None else short_count(weights) if short else f"{count(weights)} parameters"
    return (" · " if short else ", ").join(part for part in (str(vertex["detail"]), known) if part)


def _called(name: str) -> str:
    for numbered in ("node", "cell", "block"):
        if name.startswith(numbered):
            return name.replace(numbered, f"{numbered} ")
    return f"the {name}"


def macro_graph(macro: MacroPlan, around: Surroundings) -> nx.DiGraph:
    """See `reports.drawing.graph` for what vertices and edges carry."""
    graph = nx.DiGraph()
    add_stem(graph, macro.width, around)
    for number_, node in enumerate(macro.nodes, start=1):
        name = f"node{number_}"
        operation = OPERATION_NAMES[node.operation]
        activation = ACTIVATION_NAMES[node.activation]
        shape = f"{macro.width}{area(around.shape[1:] if around.shape else None)}"
        graph.add_node(
            name,
            kind="node",
            family=family_of(node.operation),
            number=number_,
            title=operation,
            detail=f"{activation}, {shape}",
        )
        for source in node.inputs:
            chained = source == number_ - 1
            graph.add_edge(f"node{source}" if source else "stem", name, kind="chain" if chained else "skip")
    last = f"node{macro.outputs[0]}"
    if len(macro.outputs) > 1:
        graph.add_node("mean", kind="mean", title=f"mean of {len(macro.outputs)} loose ends", detail="")
        for source in macro.outputs:
            graph.add_edge(f"node{source}", "mean", kind="chain" if source == len(macro.nodes) else "loose")
        last = "mean"
    sides = around.shape[1:] if around.shape else None
    add_head(graph, last, around, width=macro.width, sides=sides, pooling=macro.pooling, shortcut=macro.shortcut)
    return graph


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
    shapes = dict.fromkeys(f"{width}{area(around)}" for around in (read, inside, given))
    return given, " to ".join(shapes)


def _halved(sides: Sides) -> Sides:
    return tuple((side + 1) // 2 for side in sides)


def tail_graph(tail: TailPlan, around: Surroundings) -> nx.DiGraph:
    """See `reports.drawing.graph` for what vertices and edges carry."""
    graph = nx.DiGraph()
    graph.add_node("trunk", kind="trunk", title=trunk_title(around), detail=shape_of(around))
    last = "trunk"
    for block in range(tail.freeze_depth, tail.blocks):
        name = f"block{block}"
        graph.add_node(name, kind="block", title=f"block {block}", detail="the backbone's own, fine-tuned")
        graph.add_edge(last, name, kind="chain")
        last = name
    projected = tail.pooling in POOLED and POOLED[tail.pooling].projected
    if projected:
        title = "projection: convolution 1×1"
        graph.add_node("projection", kind="stem", title=title, detail=f"ReLU, to {tail.width}")
        graph.add_edge(last, "projection", kind="chain")
        last = "projection"
    width = tail.width if projected else None
    add_head(graph, last, around, width=width, sides=None, pooling=tail.pooling, shortcut=False)
    return graph


def add_stem(graph: nx.DiGraph, width: int, around: Surroundings) -> None:
    """The vertices "trunk" and "stem"."""
    graph.add_node("trunk", kind="trunk", title=trunk_title(around), detail=shape_of(around))
    sizes = area(around.shape[1:] if around.shape else None)
    graph.add_node("stem", kind="stem", title="stem: convolution 1×1", detail=f"ReLU, to {width}{sizes}")
    graph.add_edge("trunk", "stem", kind="chain")


def area(sides: tuple[int, ...] | None) -> str:
    """ "×4×4", or nothing where the sides are not known."""
    return "".join(f"×{side}" for side in sides or ())


def add_head(
    graph: nx.DiGraph,
    last: str,
    around: Surroundings,
    *,
    width: int | None,
    sides: tuple[int, ...] | None,
    pooling: str,
    shortcut: bool,
) -> None:
    """What reads the vertex `last`, a map of `width` channels with these sides: pooling, linear, values; the tail.

    `width`: None where it is not known.
    """
    pooled, rule = None, ""
    if width is None:
        rule = "over all positions"
    elif pooling in POOLED:
        axes, extra_rule = POOLED[pooling].shape(width), POOLED[pooling].rule
        pooled = prod(axes)
        reads = f"{width}{area(sides)} to" if sides else "to"
        rule = f"{'×'.join(str(size) for size in axes)}, {extra_rule}" if extra_rule else f"{reads} {pooled}"
    graph.add_node("pool", kind="head", title=f"{pooling} pooling", detail=rule)
    graph.add_edge(last, "pool", kind="chain")
    last = "pool"
    if shortcut:
        channels = around.shape[0] if around.shape else None
        extra = count(channels) if channels else "trunk"
        graph.add_node(
            "join", kind="mean", title=f"join {count(pooled) if pooled else 'features'} + {extra}", detail=""
        )
        graph.add_edge("pool", "join", kind="chain")
        graph.add_edge("trunk", "join", kind="shortcut")
        pooled, last = pooled and pooled + (channels or 0), "join"
    known = pooled is not None and (around.shape is not None or not shortcut)
    sizes = f"{count(pooled) if known else 'features'} to {len(around.values) or 'the values'}"
    graph.add_node("linear", kind="head", title="linear", detail=sizes)
    graph.add_edge(last, "linear", kind="chain")
    graph.add_node("values", kind="values", title=values_title(around), detail=threshold_of(around))
    graph.add_edge("linear", "values", kind="chain")
    if around.tail_parameters is not None:
        graph.add_node("tail", kind="tail", title=tail_title(around), detail="")
        graph.add_edge("trunk", "tail", kind="tail")


GRAPHS: dict[str, Callable[[Architecture, Surroundings], nx.DiGraph]] = {
    "macro": lambda architecture, around: macro_graph(plan(architecture), around),
    "micro": lambda architecture, around: micro_graph(micro_plan(architecture), around),
    "tail": lambda architecture, around: tail_graph(tail_plan(architecture), around),
}
