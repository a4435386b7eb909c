"""The graph of a branch by hand: the backbone's own blocks in a row, then what pools their map."""

import networkx as nx

from reports.ends_graph import add_head
from reports.surroundings import Surroundings, shape_of, trunk_title
from search_spaces import TailPlan
from search_spaces.operations import POOLED


def tail_graph(tail: TailPlan, around: Surroundings) -> nx.DiGraph:
    """See `reports.architecture_graph` for what vertices and edges carry."""
    graph = nx.DiGraph()
    graph.add_node("trunk", kind="trunk", title=trunk_title(around), detail=shape_of(around))
    last = "trunk"
    for number in range(tail.freeze_depth, tail.blocks):
        name = f"block{number}"
        graph.add_node(name, kind="block", title=f"block {number}", detail="the backbone's own, fine-tuned")
        graph.add_edge(last, name, kind="chain")
        last = name
    projected = POOLED[tail.pooling].projected
    if projected:
        title = "projection: convolution 1×1"
        graph.add_node("projection", kind="stem", title=title, detail=f"ReLU, to {tail.width}")
        graph.add_edge(last, "projection", kind="chain")
        last = "projection"
    width = tail.width if projected else None
    add_head(graph, last, around, width=width, sides=None, pooling=tail.pooling, shortcut=False)
    return graph
