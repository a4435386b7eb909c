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

from search_spaces.architecture import Architecture, Choice, Setting
from search_spaces.decisions import Decision, Space
from search_spaces.errors import SpaceError
from search_spaces.isomorphism import canonical_graph
from search_spaces.operations import ACTIVATIONS, OPERATIONS, POOLINGS

MAX_NODES = 64


class NodePlan(NamedTuple):
    """One node: `inputs` are the numbers of the nodes it sums, (0,) when it reads the stem."""

    operation: str
    activation: str
    inputs: tuple[int, ...]


class MacroPlan(NamedTuple):
    """What to build. Nodes are numbered from 1 (`nodes[0]` is node 1), 0 is the stem.

    `outputs` are the numbers of the nodes that nobody reads; the head takes their mean.
    """

    width: int
    nodes: tuple[NodePlan, ...]
    outputs: tuple[int, ...]
    pooling: str
    shortcut: bool


def macro_space(
    nodes: int = 4,
    *,
    widths: Sequence[int] = (16, 32, 64),
    depths: Sequence[int] = (),
    operations: Sequence[str] = OPERATIONS,
    activations: Sequence[str] = ("relu", "silu", "hard_swish"),
    poolings: Sequence[str] = POOLINGS,
    shortcuts: Sequence[bool] = (False, True),
) -> Space:
    """The macro search space.

    Stem: 1x1 convolution from the trunk's channels to `width`, batch norm, ReLU. A node reads the sum of the nodes with
    an edge to it, or the stem when there is none, and computes activation(norm(operation(x))) at the same width and
    size. The mean of the nodes nobody reads goes to the head: pooling, then a linear layer; with the shortcut, the
    globally averaged, batch-normalised trunk features join the pooled ones.

    `depths`: how many of the nodes a branch may have; the choices for those beyond are then idle. Empty: all of them,
    always, and no such decision.

    Decisions in order: width; depth, where there is a choice; per node its operation, activation and the edges from
    nodes 1..i-1; head pooling; head shortcut.

    Raises: SpaceError naming the setting that is out of range, empty, repeated or unknown.

    >>> [decision.name for decision in macro_space(2).decisions][:6]
    ['width', 'node1.operation', 'node1.activation', 'node2.operation', 'node2.activation', 'edge1-2']
    """
    if type(nodes) is not int or not 1 <= nodes <= MAX_NODES:
        raise SpaceError(f"macro space: nodes must be a whole number from 1 to {MAX_NODES}, got {nodes!r}")
    for width in _listed("widths", widths):
        if type(width) is not int or width < 1:
            raise SpaceError(f"macro space: every width must be a positive whole number, got {width!r}")
    for depth in _listed("depths", depths) if depths else ():
        if type(depth) is not int or not 1 <= depth <= nodes:
            raise SpaceError(
                f"macro space: every depth must be a whole number from 1 to nodes ({nodes}), got {depth!r}"
            )
    settings: dict[str, Setting] = {
        "nodes": nodes,
        "widths": _listed("widths", widths),
        "operations": _listed("operations", operations, OPERATIONS),
        "activations": _listed("activations", activations, ACTIVATIONS),
        "poolings": _listed("poolings", poolings, POOLINGS),
        "shortcuts": _listed("shortcuts", shortcuts, (False, True)),
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
    return MacroPlan(width, tuple(nodes), outputs, pooling, bool(architecture["head.shortcut"]))


def _canonical(architecture: Architecture) -> tuple[object, ...]:
    width, nodes, _, pooling, shortcut = plan(architecture)
    graph = canonical_graph([(node.operation, node.activation) for node in nodes], [node.inputs for node in nodes])
    return width, pooling, shortcut, graph


def _listed(setting: str, values: Sequence[Choice], known: Sequence[Choice] | None = None) -> tuple[Choice, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise SpaceError(f"macro space: {setting} must be a list, got {values!r}")
    if not values:
        raise SpaceError(f"macro space: {setting} is empty; list at least one")
    for value in values:
        if not isinstance(value, str | int | float):
            raise SpaceError(f"macro space: {setting} must list plain values, got {value!r}")
        if known is not None and not any(value == one and type(value) is type(one) for one in known):
            listed = ", ".join(str(one) for one in known)
            raise SpaceError(f"macro space: {setting} must be among {listed}, got {value!r}")
    if len(set(values)) < len(values):
        raise SpaceError(f"macro space: {setting} lists a value twice, got {list(values)!r}")
    return tuple(values)
