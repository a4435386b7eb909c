"""Architecture -> module: the branch of one attribute, features of the trunk in, logits of its values out.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.3.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from branches.errors import BranchError
from branches.heads import Head
from branches.operations import initialise, node, stem
from search_spaces.architecture import Architecture
from search_spaces.macro import MacroPlan, plan
from search_spaces.registry import space_of

FeatureShape = tuple[int, int, int]


class Branch(nn.Module):
    """A macro architecture as plain modules: `stem`, `nodes` (node 1 first), `head`.

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
        self.architecture = architecture
        self.feature_shape = feature_shape
        self.values = values
        self.plan = plan(architecture)
        width, channels = self.plan.width, feature_shape[0]
        self.stem = stem(channels, width)
        self.nodes = nn.ModuleList(node(part.operation, part.activation, width) for part in self.plan.nodes)
        self.head = Head(self.plan.pooling, width, channels, values, shortcut=self.plan.shortcut, dropout=dropout)
        initialise(self, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) -> logits (N, values)."""
        return follow(self.plan, self.stem, list(self.nodes), self.head, features)


def follow(
    graph: MacroPlan,
    stem: Callable[[Tensor], Tensor],
    nodes: Sequence[Callable[[Tensor], Tensor]],
    head: Callable[[Tensor, Tensor], Tensor],
    features: Tensor,
) -> Tensor:
    """Run the parts along a plan: each node reads the sum of its inputs, the head the mean of the outputs.

    Works in the channels-last layout, the fastest for small maps on a CPU: features gathered in it are not copied.
    """
    features = features.contiguous(memory_format=torch.channels_last)
    maps = [stem(features)]
    for part, module in zip(graph.nodes, nodes, strict=True):
        maps.append(module(_total([maps[number] for number in part.inputs])))
    output = _total([maps[number] for number in graph.outputs])
    return head(output if len(graph.outputs) == 1 else output / len(graph.outputs), features)


def check_shape(feature_shape: Sequence[int], values: int) -> None:
    """Raises: BranchError unless the shape is three positive numbers (C, H, W) and there are two values or more."""
    if len(feature_shape) != 3 or any(type(size) is not int or size < 1 for size in feature_shape):
        raise BranchError(f"the feature shape must be (channels, height, width), each 1 or more, got {feature_shape}")
    if type(values) is not int or values < 2:
        raise BranchError(f"an attribute has at least two values, got {values!r}")


def _total(maps: Sequence[Tensor]) -> Tensor:
    total = maps[0]
    for one in maps[1:]:
        total = total + one
    return total
