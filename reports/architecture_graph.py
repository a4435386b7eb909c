"""Architecture -> a directed graph of what happens to the trunk's features, from trunk to values.

Every vertex has `kind`, `title` and `detail`; every edge has `kind`: "chain", "skip" (past at least one node), "loose"
(a loose end's way into the mean), "shortcut" (the trunk's features, averaged, into the head) or "tail".
"""

from typing import NamedTuple

import networkx as nx

from reports.comparison import methods
from reports.formats import SPACE, count, score, share, short_count, shortened
from reports.records import Records
from reports.values import items, number, table, text, whole
from reports.verdict import values_of
from search_spaces import Architecture, MacroPlan, SpaceError, plan, space_of

OPERATION_NAMES = {
    "conv3x3": "convolution 3×3",
    "conv5x5": "convolution 5×5",
    "separable3x3": "separable 3×3",
    "separable5x5": "separable 5×5",
    "average_pool3x3": "average pool 3×3",
    "max_pool3x3": "max pool 3×3",
}
ACTIVATION_NAMES = {
    "relu": "ReLU",
    "silu": "SiLU",
    "hard_swish": "hard swish",
    "leaky_relu": "leaky ReLU",
    "gelu": "GELU",
    "tanh": "tanh",
}


class Surroundings(NamedTuple):
    """What the drawing says about the world around the branch; None where the records do not tell."""

    shape: tuple[int, int, int] | None
    freeze_depth: int | None
    backbone: str | None
    values: tuple[str, ...]
    threshold: float | None
    parameters: float | None
    macs: float | None
    tail_parameters: float | None
    tail_macs: float | None


def architecture_of(record: dict[str, object]) -> Architecture:
    """The architecture of a record, checked against its space. Raises SpaceError when it is not one."""
    architecture = Architecture.from_json(record)
    try:
        space_of(architecture)
    except (TypeError, ValueError, LookupError) as error:
        raise SpaceError(str(error)) from error
    return architecture


def surroundings(records: Records) -> Surroundings:
    """Shapes, sizes and names from result.json, or from config.json while there is none."""
    result, config = records.result, records.config
    shape = tuple(
        side for side in map(whole, items(result.get("feature_shape") or config.get("feature_shape"))) if side
    )
    depth = whole(result.get("freeze_depth"))
    winner = next((method for method in methods(records) if method.key == "winner"), None)
    trunk = table(result.get("trunk")) or table(config.get("trunk"))
    return Surroundings(
        (shape[0], shape[1], shape[2]) if len(shape) == 3 else None,
        depth if depth is not None else whole(config.get("freeze_depth")),
        text(trunk.get("backbone")) or text(trunk.get("name")),
        values_of(records),
        number(table(result.get("val")).get("threshold")),
        winner.parameters if winner else None,
        winner.macs if winner else None,
        number(result.get("tail_parameters")),
        number(result.get("tail_macs")),
    )


def branch_graph(architecture: Architecture, around: Surroundings) -> nx.DiGraph:
    """The graph of a macro architecture. Raises SpaceError for a space there is no drawing of."""
    return _macro_graph(plan(architecture), around)


def _macro_graph(macro: MacroPlan, around: Surroundings) -> nx.DiGraph:
    graph = nx.DiGraph()
    width, area = macro.width, f"×{around.shape[1]}×{around.shape[2]}" if around.shape else ""
    graph.add_node("trunk", kind="trunk", title=_trunk_title(around), detail=_shape(around))
    graph.add_node("stem", kind="stem", title="stem: convolution 1×1", detail=f"ReLU, to {width}{area}")
    graph.add_edge("trunk", "stem", kind="chain")
    for number_, node in enumerate(macro.nodes, start=1):
        name = f"node{number_}"
        operation = OPERATION_NAMES.get(node.operation, node.operation)
        family = "pooling" if "pool" in node.operation else node.operation.rstrip("0123456789x")
        activation = ACTIVATION_NAMES.get(node.activation, node.activation)
        graph.add_node(name, kind="node", family=family, number=number_, title=operation, detail=activation)
        for source in node.inputs:
            chained = source == number_ - 1
            graph.add_edge(f"node{source}" if source else "stem", name, kind="chain" if chained else "skip")
    last = f"node{macro.outputs[0]}"
    if len(macro.outputs) > 1:
        graph.add_node("mean", kind="mean", title=f"mean of {len(macro.outputs)} loose ends", detail="")
        for source in macro.outputs:
            graph.add_edge(f"node{source}", "mean", kind="chain" if source == len(macro.nodes) else "loose")
        last = "mean"
    pooled = width * width if macro.pooling == "bilinear" else width
    rule = (
        f"{width}×{width}, signed root, L2"
        if macro.pooling == "bilinear"
        else f"{width}{area} to {width}"
        if area
        else f"to {width}"
    )
    graph.add_node("pool", kind="head", title=f"{macro.pooling} pooling", detail=rule)
    graph.add_edge(last, "pool", kind="chain")
    last = "pool"
    if macro.shortcut:
        channels = around.shape[0] if around.shape else None
        extra = count(channels) if channels else "trunk"
        graph.add_node("join", kind="mean", title=f"join {count(pooled)} + {extra}", detail="")
        graph.add_edge("pool", "join", kind="chain")
        graph.add_edge("trunk", "join", kind="shortcut")
        pooled, last = pooled + (channels or 0), "join"
    known = around.shape is not None or not macro.shortcut
    sizes = f"{count(pooled) if known else 'features'} to {len(around.values) or 'the values'}"
    graph.add_node("linear", kind="head", title="linear", detail=sizes)
    graph.add_edge(last, "linear", kind="chain")
    graph.add_node("values", kind="values", title=_values_title(around), detail=_threshold(around))
    graph.add_edge("linear", "values", kind="chain")
    if around.tail_parameters is not None:
        graph.add_node("tail", kind="tail", title=_tail_title(around), detail="")
        graph.add_edge("trunk", "tail", kind="tail")
    return graph


def describe(graph: nx.DiGraph) -> str:
    """The graph in words, for those who cannot see the drawing."""
    sentences = [f"{graph.nodes['trunk']['title']}, {graph.nodes['trunk']['detail']}."]
    for name, vertex in graph.nodes(data=True):
        if vertex["kind"] in ("trunk", "tail"):
            continue
        sources = " and ".join(_called(source) for source in graph.predecessors(name))
        detail = f" ({vertex['detail']})" if vertex["detail"] else ""
        called = f"Node {vertex['number']}, {vertex['title']}" if vertex["kind"] == "node" else vertex["title"]
        sentences.append(f"{called}{detail} reads {sources}.")
    return " ".join(sentences)


def tail_lines(around: Surroundings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What stands beside the tail: its size, and the branch's with its share of the tail's parameters."""
    own = [f"{short_count(around.tail_parameters)} parameters"]
    branch = []
    if around.tail_macs is not None:
        own.append(f"{short_count(around.tail_macs)} MACs")
    if around.parameters is not None:
        branch += ["this branch:", f"{short_count(around.parameters)} parameters"]
        if around.macs is not None:
            branch.append(f"{short_count(around.macs)} MACs")
        if around.tail_parameters:
            branch.append(f"= {share(around.parameters / around.tail_parameters)} of the tail")
    return tuple(own), tuple(branch)


def _called(name: str) -> str:
    return name.replace("node", "node ") if name.startswith("node") else f"the {name}"


def _trunk_title(around: Surroundings) -> str:
    if around.freeze_depth is None:
        return "trunk, frozen"
    last = around.freeze_depth - 1
    return "trunk block 0, frozen" if last <= 0 else f"trunk blocks 0–{last}, frozen"


def _shape(around: Surroundings) -> str:
    return "×".join(map(str, around.shape)) if around.shape else "features"


def _tail_title(around: Surroundings) -> str:
    return "tail it replaces" if around.freeze_depth is None else f"tail it replaces: from block {around.freeze_depth}"


def _values_title(around: Surroundings) -> str:
    if not around.values:
        return "scores"
    if len(around.values) > 4:
        return f"scores of {len(around.values)} values"
    return shortened(" · ".join(around.values), 30)


def _threshold(around: Surroundings) -> str:
    if len(around.values) != 2 or around.threshold is None:
        return "softmax"
    return f"“{shortened(around.values[1], 12)}” from{SPACE}{score(around.threshold, 3)}"
