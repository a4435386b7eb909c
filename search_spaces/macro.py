"""The macro space: a chain of nodes, each with an operation, an activation and optional edges from all earlier nodes.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.3,
after Efficient Neural Architecture Search via Parameter Sharing (Pham et al., 2018), arXiv:1802.03268, section 2.3.
Different from the latter: the edge from the previous node is a decision too (the paper searches
"existence of the edge between each pair of nodes"), and width, depth and head are searched along, so that small
branches are found, not only pruned.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from search_spaces.architecture import Architecture, Setting
from search_spaces.decisions import Decision, Space
from search_spaces.errors import SpaceError
from search_spaces.isomorphism import canonical_graph
from search_spaces.operations import ACTIVATIONS, CHAIN_OPERATIONS, HEAD_POOLINGS, OPERATIONS, POOLINGS
from search_spaces.setting_checks import context_of, listed, sources_listed, whole, widths_listed

MAX_NODES = 64


class NodePlan(NamedTuple):
    """One node: `inputs` are the numbers of the nodes it sums, (0,) when it reads the stem."""

    operation: str
    activation: str
    inputs: tuple[int, ...]


class MacroPlan(NamedTuple):
    """What to build. Nodes are numbered from 1 (`nodes[0]` is node 1), 0 is the stem.

    `outputs` are the numbers of the nodes that nobody reads; the head takes their mean. `context`: so many of the
    features' channels, the last, are averages of earlier depths, which the head's shortcut alone reads.
    """

    width: int
    nodes: tuple[NodePlan, ...]
    outputs: tuple[int, ...]
    pooling: str
    shortcut: bool
    context: int = 0


def macro_space(
    nodes: int = 4,
    *,
    widths: Sequence[int] = (16, 32, 64),
    depths: Sequence[int] = (),
    operations: Sequence[str] = CHAIN_OPERATIONS,
    activations: Sequence[str] = ("relu", "silu", "hard_swish"),
    poolings: Sequence[str] = HEAD_POOLINGS,
    shortcuts: Sequence[bool] = (False, True),
    sources: Sequence[int] = (),
) -> Space:
    """The macro search space.

    Stem: 1x1 convolution from the trunk's channels to `width`, batch norm, ReLU. A node reads the sum of the nodes with
    an edge to it, or the stem when there is none, and computes activation(norm(operation(x))) at the same width and
    size. The mean of the nodes nobody reads goes to the head: pooling, then a linear layer; with the shortcut, the
    globally averaged, batch-normalised trunk features join the pooled ones.

    `depths`: how many of the nodes a branch may have; the choices for those beyond are then idle. Empty: all of them,
    always, and no such decision. `sources`: channels of the trunk's earlier depths whose averages lie behind the
    features' own channels, each the same at every position (`trunk.features.context`); only the shortcut reads them.

    Decisions in order: width; depth, where there is a choice; per node its operation, activation and the edges from
    nodes 1..i-1; head pooling; head shortcut.

    Raises: SpaceError naming the setting that is out of range, empty, repeated or unknown.

    >>> [decision.name for decision in macro_space(2).decisions][:6]
    ['width', 'node1.operation', 'node1.activation', 'node2.operation', 'node2.activation', 'edge1-2']
    """
    whole("macro", "nodes", nodes, MAX_NODES)
    for depth in listed("macro", "depths", depths) if depths else ():
        whole("macro", "every depth", depth, nodes, "nodes")
    settings: dict[str, Setting] = {
        "nodes": nodes,
        "widths": widths_listed("macro", widths),
        "operations": listed("macro", "operations", operations, OPERATIONS),
        "activations": listed("macro", "activations", activations, ACTIVATIONS),
        "poolings": listed("macro", "poolings", poolings, POOLINGS),
        "shortcuts": listed("macro", "shortcuts", shortcuts, (False, True)),
        **sources_listed("macro", sources),
    }
    decisions = [Decision("width", tuple(widths), "width")]
    if depths:
        settings["depths"] = tuple(depths)
        decisions.append(Decision("depth", tuple(depths), "depth"))
    for node in range(1, nodes + 1):
        decisions.append(Decision(f"node{node}.operation", tuple(operations), "operation", node))
        decisions.append(Decision(f"node{node}.activation", tuple(activations), "activation", node))
        for source in range(1, node):
            decisions.append(Decision(f"edge{source}-{node}", (False, True), "edge", node, source))
    decisions.append(Decision("head.pooling", tuple(poolings), "pooling"))
    decisions.append(Decision("head.shortcut", tuple(shortcuts), "shortcut"))
    return Space("macro", settings, tuple(decisions), canonical=_canonical)


@lru_cache(maxsize=4096)
def plan(architecture: Architecture) -> MacroPlan:
    """Choices -> graph. The architecture must be legal (`Space.validate`). Raises: SpaceError for another space's."""
    if architecture.space != "macro":
        raise SpaceError(f"only an architecture of the 'macro' space has a macro plan, got {architecture.space!r}")
    settings = dict(architecture.settings)
    count = cast(int, architecture["depth"] if settings.get("depths") else settings["nodes"])
    nodes = []
    for node in range(1, count + 1):
        inputs = tuple(source for source in range(1, node) if architecture[f"edge{source}-{node}"])
        operation, activation = architecture[f"node{node}.operation"], architecture[f"node{node}.activation"]
        nodes.append(NodePlan(cast(str, operation), cast(str, activation), inputs or (0,)))
    read = {source for node in nodes for source in node.inputs}
    outputs = tuple(node for node in range(1, count + 1) if node not in read)
    width, pooling = cast(int, architecture["width"]), cast(str, architecture["head.pooling"])
    shortcut = bool(architecture["head.shortcut"])
    return MacroPlan(width, tuple(nodes), outputs, pooling, shortcut, context_of(settings))


def _canonical(architecture: Architecture) -> tuple[object, ...]:
    width, nodes, _, pooling, shortcut, _ = plan(architecture)
    graph = canonical_graph([(node.operation, node.activation) for node in nodes], [node.inputs for node in nodes])
    return width, pooling, shortcut, graph
