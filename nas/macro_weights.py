"""The shared weights of the macro space, and an architecture's path through them."""

from typing import cast

from torch import Tensor, nn

from branches.branch import follow
from branches.layers import node
from nas.shared_weights import SharedWeights, shared, view, widths_of
from nas.slots import Part
from search_spaces.architecture import Architecture
from search_spaces.decisions import Space
from search_spaces.macro import plan


class MacroWeights(SharedWeights):
    """The stem, each operation of each node and a linear layer per pooling, as wide as the widest choice.

    The weights are not initialised here. The activation has no weights, so all share those of their operation.
    """

    def __init__(self, space: Space, channels: int, values: int, dropout: float) -> None:
        widths = widths_of(space)
        nodes = nn.ModuleList(
            nn.ModuleDict(
                {str(name): shared(node(str(name), "relu", max(widths)), widths) for name in decision.choices}
            )
            for decision in space.decisions
            if decision.kind == "operation"
        )
        super().__init__(space, channels, values, dropout, name="nodes", middle=nodes)

    def forward(self, features: Tensor, architecture: Architecture) -> Tensor:
        """Features (N, C, H, W) -> logits (N, values) of a legal architecture."""
        first, *nodes, head = (part.fill() for part in self.parts(architecture).values())
        return follow(plan(architecture), first, nodes, head, features)

    def parts(self, architecture: Architecture) -> dict[str, Part]:
        """The path's parts by their name in a branch, in the order stem, nodes.0, ..., head."""
        graph = plan(architecture)
        width = graph.width
        parts = {"stem": self.stem_view(width)}
        for index, (operation, activation, _) in enumerate(graph.nodes):
            key = (index, operation, activation, width)
            parts[f"nodes.{index}"] = self._views.get(key) or self._node_view(*key)
        parts["head"] = self.head_view(graph.pooling, graph.shortcut, width)
        return parts

    def _node_view(self, index: int, operation: str, activation: str, width: int) -> Part:
        nodes = cast(nn.ModuleList, self.nodes)
        weights = cast(nn.ModuleDict, nodes[index])[operation]
        part = self._views[index, operation, activation, width] = view(
            weights, node(operation, activation, width), width
        )
        return part
