"""Architecture -> module: the branch of one attribute, features of the trunk in, logits of its values out.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.3.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from branches.errors import BranchError
from branches.layers import Head, initialise, stem
from branches.macro_branch import follow_nodes, nodes_of
from branches.micro_branch import cells_of, follow_cells
from search_spaces.architecture import Architecture
from search_spaces.macro import MacroPlan, plan
from search_spaces.micro import MicroPlan, micro_plan
from search_spaces.registry import space_of

FeatureShape = tuple[int, int, int]
Plan = MacroPlan | MicroPlan


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
        self.stem = stem(channels, width)
        self.add_module(layout.parts, layout.make(self.plan))
        self.head = Head(self.plan.pooling, width, channels, values, shortcut=self.plan.shortcut, dropout=dropout)
        initialise(self, generator)

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
    return head(FOLLOW[type(graph)](graph, parts, stem(features)), features)


def check_shape(feature_shape: Sequence[int], values: int) -> None:
    """Raises: BranchError unless the shape is three positive numbers (C, H, W) and there are two values or more."""
    if len(feature_shape) != 3 or any(type(size) is not int or size < 1 for size in feature_shape):
        raise BranchError(f"the feature shape must be (channels, height, width), each 1 or more, got {feature_shape}")
    if type(values) is not int or values < 2:
        raise BranchError(f"an attribute has at least two values, got {values!r}")
