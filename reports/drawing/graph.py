"""Architecture -> a directed graph of what happens to the trunk's features, from trunk to values.

Every vertex has `kind`, `title` and `detail`, nodes and cells a `number` and a `family` too ("block": the backbone's
own), where they are recorded `weights`, its parameters; every edge has `kind`:
"chain", "skip" (past at least one node or cell), "loose" (a loose end's way into the mean), "shortcut" (the trunk's
features, averaged, into the head) or "tail".
"""

from collections.abc import Callable, Mapping

import networkx as nx

from reports.drawing.macro_graph import macro_graph
from reports.drawing.micro_graph import micro_graph
from reports.drawing.surroundings import Surroundings
from reports.drawing.tail_graph import tail_graph
from reports.layout.formats import count, short_count
from reports.summaries.values import number
from search_spaces import Architecture, SpaceError, micro_plan, plan, space_of, tail_plan

GRAPHS: dict[str, Callable[[Architecture, Surroundings], nx.DiGraph]] = {
    "macro": lambda architecture, around: macro_graph(plan(architecture), around),
    "micro": lambda architecture, around: micro_graph(micro_plan(architecture), around),
    "tail": lambda architecture, around: tail_graph(tail_plan(architecture), around),
}


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
