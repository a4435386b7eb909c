"""The shared weights of the macro space, and an architecture's path through them.

Widths share as in Slimmable Neural Networks (Yu et al., 2019), arXiv:1812.08928: a narrower path reads the first
channels of the widest convolutions and has batch norms of its own.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from branches.branch import follow
from branches.heads import Head, pooled_features
from branches.operations import node, stem
from nas.slots import Part, borrowed, corner, emptied
from search_spaces.architecture import Architecture
from search_spaces.decisions import Space
from search_spaces.macro import MacroPlan, plan


class MacroWeights(nn.Module):
    """The stem, each operation of each node and a linear layer per pooling, as wide as the widest choice.

    The weights are not initialised here. The activation has no weights, so all share those of their operation.
    """

    def __init__(self, space: Space, channels: int, values: int, dropout: float) -> None:
        super().__init__()
        choices = {decision.name: decision.choices for decision in space.decisions}
        widths = [int(width) for width in choices["width"]]
        widest = max(widths)
        self.channels, self.values = channels, values
        self.dropout = nn.Dropout(dropout)
        self.stem = _shared(stem(channels, widest), widths)
        self.nodes = nn.ModuleList(
            nn.ModuleDict({str(name): _shared(node(str(name), "relu", widest), widths) for name in decision.choices})
            for decision in space.decisions
            if decision.kind == "operation"
        )
        self.pooled = nn.ModuleDict()
        for name in choices["head.pooling"]:
            self.pooled[str(name)] = _linear(pooled_features(str(name), widest), values)
        self.shortcut = _linear(channels, values, bias=False) if True in choices["head.shortcut"] else None
        self._views: dict[tuple[object, ...], Part] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_views": {}}  # a copy makes its own, of its own weights

    def forward(self, features: Tensor, architecture: Architecture) -> Tensor:
        """Features (N, C, H, W) -> logits (N, values) of a legal architecture."""
        first, *nodes, head = (part.fill() for part in self.parts(architecture).values())
        return follow(plan(architecture), first, nodes, head, features)

    def parts(self, architecture: Architecture) -> dict[str, Part]:
        """The path's parts by their name in a branch, in the order stem, nodes.0, ..., head."""
        graph = plan(architecture)
        width = graph.width
        parts = {"stem": self._views.get(("stem", width)) or self._stem_view(width)}
        for index, (operation, activation, _) in enumerate(graph.nodes):
            key = (index, operation, activation, width)
            parts[f"nodes.{index}"] = self._views.get(key) or self._node_view(*key)
        parts["head"] = self._views.get(("head", graph.pooling, graph.shortcut, width)) or self._head_view(graph)
        return parts

    def _stem_view(self, width: int) -> Part:
        part = self._views["stem", width] = _view(self.stem, stem(self.channels, width), width)
        return part

    def _node_view(self, index: int, operation: str, activation: str, width: int) -> Part:
        shared = cast(nn.ModuleDict, self.nodes[index])[operation]
        part = _view(shared, node(operation, activation, width), width)
        self._views[index, operation, activation, width] = part
        return part

    def _head_view(self, graph: MacroPlan) -> Part:
        head = Head(graph.pooling, graph.width, self.channels, self.values, shortcut=graph.shortcut)
        head.dropout = self.dropout  # one switch for every path
        pooled = cast(nn.Linear, self.pooled[graph.pooling])
        weight = partial(_head_weight, pooled, self.shortcut if graph.shortcut else None, graph.pooling, graph.width)
        part = emptied(head, {"linear.weight": weight, "linear.bias": borrowed(pooled, "bias", (self.values,))})
        self._views["head", graph.pooling, graph.shortcut, graph.width] = part
        return part


def _linear(inputs: int, values: int, *, bias: bool = True) -> nn.Linear:
    layer: nn.Linear = skip_init(nn.Linear, inputs, values, bias=bias)  # type: ignore[no-untyped-call]
    return layer


def _shared(part: nn.Sequential, widths: Sequence[int]) -> nn.Sequential:
    """A stem or node as wide as the widest, with a norm per width and no activation."""
    del part.activation
    part.norm = nn.ModuleDict({str(width): nn.BatchNorm2d(width, track_running_stats=False) for width in widths})
    return part


def _view(shared: nn.Module, module: nn.Module, width: int) -> Part:
    """A stem or node of one width that borrows its parameters from the shared one."""
    made = {}
    for name, parameter in module.named_parameters():
        path, _, attribute = name.rpartition(".")
        owner = shared.get_submodule(f"norm.{width}" if path == "norm" else path)
        made[name] = borrowed(owner, attribute, tuple(parameter.shape))
    return emptied(module, made)


def _head_weight(pooled: nn.Linear, shortcut: nn.Linear | None, pooling: str, width: int) -> Tensor:
    weight: Tensor = pooled.weight
    values, widest = pooled.out_features, math.isqrt(pooled.in_features)
    if pooling == "bilinear":  # the products of the first channels with one another
        weight = corner(weight.view(values, widest, widest), (values, width, width)).flatten(1)
    else:
        weight = corner(weight, (values, width))
    return weight if shortcut is None else torch.cat([weight, shortcut.weight], dim=1)
