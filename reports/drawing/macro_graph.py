"""The graph of a macro branch: a chain of nodes with skips."""

import networkx as nx

from reports.drawing.ends_graph import add_head, add_stem, area
from reports.drawing.surroundings import Surroundings
from reports.layout.part_names import ACTIVATION_NAMES, OPERATION_NAMES, family_of
from search_spaces import MacroPlan


def macro_graph(macro: MacroPlan, around: Surroundings) -> nx.DiGraph:
    """See `reports.drawing.graph` for what vertices and edges carry."""
    graph = nx.DiGraph()
    add_stem(graph, macro.width, around)
    for number_, node in enumerate(macro.nodes, start=1):
        name = f"node{number_}"
        operation = OPERATION_NAMES.get(node.operation, node.operation)
        activation = ACTIVATION_NAMES.get(node.activation, node.activation)
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
