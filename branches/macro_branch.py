"""The middle of a macro branch: a chain of nodes between stem and head."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from branches.layers import node
from search_spaces.macro import MacroPlan

Step = Callable[[Tensor], Tensor]


def nodes_of(graph: MacroPlan) -> nn.ModuleList:
    """The nodes, node 1 first."""
    return nn.ModuleList(node(part.operation, part.activation, graph.width) for part in graph.nodes)


def follow_nodes(graph: MacroPlan, nodes: Sequence[Step], stem: Tensor) -> Tensor:
    """Each node reads the sum of its inputs; the result is the mean of the outputs. (N, width, H, W) -> the same."""
    maps = [stem]
    for part, module in zip(graph.nodes, nodes, strict=True):
        maps.append(module(_total([maps[number] for number in part.inputs])))
    output = _total([maps[number] for number in graph.outputs])
    return output if len(graph.outputs) == 1 else output / len(graph.outputs)


def _total(maps: Sequence[Tensor]) -> Tensor:
    total = maps[0]
    for one in maps[1:]:
        total = total + one
    return total
