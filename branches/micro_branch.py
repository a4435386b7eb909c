"""The middle of a micro branch: cells between stem and head.

Efficient Neural Architecture Search via Parameter Sharing (Pham et al., 2018), arXiv:1802.03268, section 2.4; as in the
authors' code, a 1x1 convolution brings what a cell concatenates back to the width.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from branches.layers import activation, normed, projection
from search_spaces.micro import FIRST_NODE, CellPlan, MicroPlan, PairPlan

Step = Callable[[Tensor], Tensor]


class NodeLike(Protocol):
    """A node: activation(first(x) + second(y))."""

    @property
    def first(self) -> Step: ...

    @property
    def second(self) -> Step: ...

    @property
    def activation(self) -> Step: ...


class CellLike(Protocol):
    """A cell: `halve` brings input 0 to the size of input 1, `merge` the loose ends to the width; None without need."""

    @property
    def halve(self) -> Step | None: ...

    @property
    def nodes(self) -> Sequence[NodeLike]: ...

    @property
    def merge(self) -> Step | None: ...


class Node(nn.Module):
    """activation(norm(operation(x)) + norm(operation(y))); in a reduction cell, the cell's inputs at stride 2."""

    def __init__(self, plan: PairPlan, width: int, reduction: bool) -> None:
        super().__init__()
        first, second = (
            normed(operation, width, stride_of(reduction, source))
            for operation, source in zip(plan.operations, plan.inputs, strict=True)
        )
        self.first, self.second = first, second
        self.activation = activation(plan.activation)


class Cell(nn.Module):
    """The modules of one cell; `halve` and `merge` only where they are needed."""

    def __init__(self, plan: CellPlan, width: int) -> None:
        super().__init__()
        self.halve = projection(width, width, stride=2) if plan.halved else None
        self.nodes = nn.ModuleList(Node(node, width, plan.reduction) for node in plan.nodes)
        self.merge = projection(len(plan.loose) * width, width) if len(plan.loose) > 1 else None


def cells_of(graph: MicroPlan) -> nn.ModuleList:
    """The cells of the plan, in its order."""
    return nn.ModuleList(Cell(cell, graph.width) for cell in graph.cells)


def stride_of(reduction: bool, source: int) -> int:
    """The stride of an operation: 2 on the inputs of a reduction cell."""
    return 2 if reduction and source < FIRST_NODE else 1


def follow_cells(graph: MicroPlan, cells: Sequence[CellLike], stem: Tensor) -> Tensor:
    """Run the cells along their plan: (N, width, H, W) -> (N, width, H', W'), each reduction cell halving the sides."""
    outputs: dict[int | None, Tensor] = {0: stem}
    for plan, cell in zip(graph.cells, cells, strict=True):
        before, previous = (outputs.get(source, stem) for source in plan.sources)  # what is not read may be anything
        maps = [before if cell.halve is None else cell.halve(before), previous]
        for (_, (left, right), _), node in zip(plan.nodes, cell.nodes, strict=True):
            maps.append(node.activation(node.first(maps[left]) + node.second(maps[right])))
        ends = [maps[number] for number in plan.loose]
        outputs[plan.number] = ends[0] if cell.merge is None else cell.merge(torch.cat(ends, 1))
    return outputs[graph.cells[-1].number]
