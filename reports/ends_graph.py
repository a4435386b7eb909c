"""The ends that the drawings of all spaces share: trunk and stem above, head, values and tail below."""

from math import prod

import networkx as nx

from reports.formats import count
from reports.surroundings import Surroundings, shape_of, tail_title, threshold_of, trunk_title, values_title
from search_spaces.operations import POOLED


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
    if width is None:
        pooled, rule = None, "over all positions"
    else:
        axes, extra_rule = POOLED[pooling].shape(width), POOLED[pooling].rule
        pooled = prod(axes)
        reads = f"{width}{area(sides)} to" if sides else "to"
        rule = f"{'×'.join(str(size) for size in axes)}, {extra_rule}" if extra_rule else f"{reads} {pooled}"
    graph.add_node("pool", kind="head", title=f"{pooling} pooling", detail=rule)
    graph.add_edge(last, "pool", kind="chain")
    last = "pool"
    if shortcut and pooled is not None:
        channels = around.shape[0] if around.shape else None
        extra = count(channels) if channels else "trunk"
        graph.add_node("join", kind="mean", title=f"join {count(pooled)} + {extra}", detail="")
        graph.add_edge("pool", "join", kind="chain")
        graph.add_edge("trunk", "join", kind="shortcut")
        pooled, last = pooled + (channels or 0), "join"
    known = pooled is not None and (around.shape is not None or not shortcut)
    sizes = f"{count(pooled) if known else 'features'} to {len(around.values) or 'the values'}"
    graph.add_node("linear", kind="head", title="linear", detail=sizes)
    graph.add_edge(last, "linear", kind="chain")
    graph.add_node("values", kind="values", title=values_title(around), detail=threshold_of(around))
    graph.add_edge("linear", "values", kind="chain")
    if around.tail_parameters is not None:
        graph.add_node("tail", kind="tail", title=tail_title(around), detail="")
        graph.add_edge("trunk", "tail", kind="tail")
