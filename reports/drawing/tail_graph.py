"""The graph of a branch by hand: the backbone's own blocks in a row, then what pools their map."""

import networkx as nx

from reports.drawing.ends_graph import add_head
from reports.drawing.surroundings import Surroundings, shape_of, trunk_title
from search_spaces import TailPlan


def tail_graph(tail: TailPlan, around: Surroundings) -> nx.DiGraph:
    """See `reports.drawing.graph` for what vertices and edges carry."""
    graph = nx.DiGraph()
    graph.add_node("trunk", kind="trunk", title=trunk_title(around), detail=shape_of(around))
    last = "trunk"
    for number in range(tail.freeze_depth, tail.blocks):
        name = f"block{number}"
        graph.add_node(name, kind="block", title=f"block {number}", detail="the backbone's own, fine-tuned")
        graph.add_edge(last, name, kind="chain")
        last = name
    if tail.pooling == "bilinear":
        title = "projection: convolution 1×1"
        graph.add_node("projection", kind="stem", title=title, detail=f"ReLU, to {tail.width}")
        graph.add_edge(last, "projection", kind="chain")
        last = "projection"
    width = tail.width if tail.pooling == "bilinear" else None
    add_head(graph, last, around, width=width, sides=None, pooling=tail.pooling, shortcut=False)
    return graph
