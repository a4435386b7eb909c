"""Architecture -> module: the branch of one attribute, features of the trunk in, logits of its values out.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.3.
Cells as in Efficient Neural Architecture Search via Parameter Sharing (Pham et al., 2018), arXiv:1802.03268, section
2.4; as in the authors' code, a 1x1 convolution brings what a cell concatenates back to the width.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from branches.errors import BranchError
from branches.layers import Head, ProbeStart, activation, initialise, node, normed, projection, stem
from search_spaces.architecture import Architecture
from search_spaces.macro import MacroPlan, plan
from search_spaces.micro import FIRST_NODE, CellPlan, MicroPlan, PairPlan, micro_plan
from search_spaces.registry import space_of

FeatureShape = tuple[int, int, int]
Plan = MacroPlan | MicroPlan
Step = Callable[[Tensor], Tensor]


def nodes_of(graph: MacroPlan) -> nn.ModuleList:
    """The nodes, node 1 first."""
    return nn.ModuleList(node(part.operation, part.activation, graph.width) for part in graph.nodes)


def follow_nodes(graph: MacroPlan, nodes: Sequence[Step], stem: Tensor) -> Tensor:
    """Each node reads the sum of its inputs; the result is the mean of the outputs. (N, width, H, W) -> the same."""
    maps = [stem]
    for part, module in zip(graph.nodes, nodes, strict=True):
        maps.append(module(total_of([maps[number] for number in part.inputs])))
    output = total_of([maps[number] for number in graph.outputs])
    return output if len(graph.outputs) == 1 else output / len(graph.outputs)


def total_of(maps: Sequence[Tensor]) -> Tensor:
    """The sum of maps of one shape."""
    total = maps[0]
    for added in maps[1:]:
        total = total + added
    return total


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
        self.nodes = nn.ModuleList(Node(pair, width, plan.reduction) for pair in plan.nodes)
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
    for cell, module in zip(graph.cells, cells, strict=True):
        before, previous = (outputs.get(source, stem) for source in cell.sources)  # what is not read may be anything
        maps = [before if module.halve is None else module.halve(before), previous]
        for pair, part in zip(cell.nodes, module.nodes, strict=True):
            left, right = pair.inputs
            maps.append(part.activation(part.first(maps[left]) + part.second(maps[right])))
        ends = [maps[number] for number in cell.loose]
        outputs[cell.number] = ends[0] if module.merge is None else module.merge(torch.cat(ends, 1))
    return outputs[graph.cells[-1].number]


class Layout(NamedTuple):
    """What a space's branches have between stem and head: the parts' name, how they are planned and made."""

    parts: str
    plan: Callable[[Architecture], Plan]
    make: Callable[[Any], nn.ModuleList]


LAYOUTS = {"macro": Layout("nodes", plan, nodes_of), "micro": Layout("cells", micro_plan, cells_of)}
FOLLOW: dict[type, Callable[[Any, Any, Tensor], Tensor]] = {MacroPlan: follow_nodes, MicroPlan: follow_cells}


class Branch(nn.Module):
    """An architecture as plain modules: `stem`, the parts of its space (`nodes` or `cells`), `head`.

    The parameters are drawn from `generator` (None: one seeded with 0), never from torch's own. Any height and width
    from 1x1 on will do, `feature_shape` records those it is meant for. In training mode batch norm needs more than one
    value per channel, so a batch of one image is for evaluation.

    Raises: SpaceError for an illegal architecture, BranchError for a shape or number of values that cannot be.
    """

    def __init__(
        self,
        architecture: Architecture,
        feature_shape: FeatureShape,
        values: int,
        *,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_shape(feature_shape, values)
        space_of(architecture)  # raises where the architecture is not legal
        layout = LAYOUTS[architecture.space]
        self.architecture = architecture
        self.feature_shape = feature_shape
        self.values = values
        self.plan = layout.plan(architecture)
        width, channels = self.plan.width, feature_shape[0]
        self.stem = stem(map_channels(self.plan, channels), width)
        self.add_module(layout.parts, layout.make(self.plan))
        self.head = Head(self.plan.pooling, width, channels, values, shortcut=self.plan.shortcut, dropout=dropout)
        initialise(self, generator)

    def begin_at(self, start: ProbeStart) -> None:
        """Begin at a fitted probe, see `Head`; without the shortcut there is no place for it, and nothing is done."""
        if self.plan.shortcut:
            self.head.begin_at(start)

    @property
    def parts(self) -> nn.ModuleList:
        """What lies between stem and head: the nodes of a macro branch, the cells of a micro branch."""
        parts = self.get_submodule(LAYOUTS[self.architecture.space].parts)
        assert isinstance(parts, nn.ModuleList)
        return parts

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) -> logits (N, values)."""
        return follow(self.plan, self.stem, list(self.parts), self.head, features)


def follow(
    graph: Plan,
    stem: Callable[[Tensor], Tensor],
    parts: Sequence[Any],
    head: Callable[[Tensor, Tensor], Tensor],
    features: Tensor,
) -> Tensor:
    """Run the parts along a plan, from the stem's map to the head's logits.

    Works in the channels-last layout, the fastest for small maps on a CPU: features gathered in it are not copied.
    """
    features = features.contiguous(memory_format=torch.channels_last)
    maps = features[:, : -graph.context] if graph.context else features
    return head(FOLLOW[type(graph)](graph, parts, stem(maps)), features)


def map_channels(graph: Plan, channels: int) -> int:
    """How many of the features' channels are the trunk's map at the cut. Raises: BranchError where none is left."""
    if channels <= graph.context:
        raise BranchError(
            f"the features have {channels} channels, of which {graph.context} would be averages of earlier depths: "
            "give features with them, or a space without sources"
        )
    return channels - graph.context


def check_shape(feature_shape: Sequence[int], values: int) -> None:
    """Raises: BranchError unless the shape is three positive numbers (C, H, W) and there are two values or more."""
    if len(feature_shape) != 3 or any(type(size) is not int or size < 1 for size in feature_shape):
        raise BranchError(f"the feature shape must be (channels, height, width), each 1 or more, got {feature_shape}")
    if type(values) is not int or values < 2:
        raise BranchError(f"an attribute has at least two values, got {values!r}")
