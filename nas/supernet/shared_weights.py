"""Stem, head and views at one width: the shared weights that all spaces have in common.

Widths share as in Slimmable Neural Networks (Yu et al., 2019), arXiv:1812.08928: a narrower path reads the first
channels of the widest convolutions and has batch norms of its own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from branches.layers import STEP_FEATURES, Head, ProbeStart, SettledNorm, pooled_features, pooled_shape, stem
from search_spaces.architecture import Architecture
from search_spaces.decisions import Space
from search_spaces.setting_checks import context_of


class Slot(NamedTuple):
    """Where a shared tensor goes: the module, the attribute, and how to make the tensor as the weights are now."""

    owner: nn.Module
    attribute: str
    make: Callable[[], Tensor]


class Part(NamedTuple):
    """A module with no parameters of its own, and its slots by parameter name."""

    module: nn.Module
    slots: dict[str, Slot]

    def fill(self) -> nn.Module:
        """The module, ready to run on the shared tensors."""
        for owner, attribute, make in self.slots.values():
            owner.__dict__[attribute] = make()
        return self.module


def emptied(module: nn.Module, made: Mapping[str, Callable[[], Tensor]]) -> Part:
    """The module with slots in place of its parameters, by name, and batch norms that keep no running statistics."""
    slots = {}
    for name, make in made.items():
        path, _, attribute = name.rpartition(".")
        owner = module.get_submodule(path)
        del owner._parameters[attribute]
        slots[name] = Slot(owner, attribute, make)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean = part.running_var = part.num_batches_tracked = None
    return Part(module, slots)


def borrowed(owner: nn.Module, attribute: str, shape: tuple[int, ...]) -> Callable[[], Tensor]:
    """How to make a tensor of `shape` from a parameter: its first entries along each dimension.

    The parameter is looked up each time: it may be replaced, as when the owner moves to another device.
    """
    return partial(_borrow, owner, attribute, shape)


def corner(weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The first entries of a weight along each dimension: contiguous, in one step forward and one backward."""
    if weight.shape == shape:
        return weight
    excess = [(0, wanted - held) for held, wanted in zip(weight.shape, shape, strict=True)]
    return functional.pad(weight, [edge for pair in reversed(excess) for edge in pair])


def _borrow(owner: nn.Module, attribute: str, shape: tuple[int, ...]) -> Tensor:
    return corner(getattr(owner, attribute), shape)


class SharedWeights(nn.Module):
    """The stem, what a space has between (`name`: `middle`), and a linear layer per pooling, as wide as the widest.

    The weights are not initialised here.
    """

    def __init__(
        self, space: Space, channels: int, values: int, dropout: float, *, name: str, middle: nn.Module
    ) -> None:
        super().__init__()
        choices = {decision.name: decision.choices for decision in space.decisions}
        widths = widths_of(space)
        self.widest = max(widths)
        self.channels, self.values = channels, values
        self.seen = channels - context_of(space.settings)  # by the stem
        self.dropout = nn.Dropout(dropout)
        self.stem = shared(stem(self.seen, max(widths)), widths)
        self.add_module(name, middle)
        self.pooled = nn.ModuleDict()
        for pooling in choices["head.pooling"]:
            self.pooled[str(pooling)] = _linear(pooled_features(str(pooling), max(widths)), values)
        self.shortcut = _linear(channels, values, bias=False) if True in choices["head.shortcut"] else None
        self.shortcut_norm: SettledNorm | None = None
        self._views: dict[tuple[object, ...], Part] = {}

    @torch.no_grad()
    def begin_at(self, start: ProbeStart) -> None:
        """Begin at a fitted probe: every path with the shortcut shares its columns, which stay as they are.

        All else in the last layers starts at zero, so that a path's reward is what it adds to the probe.
        """
        if self.shortcut is None:
            return
        weight, bias, self.shortcut_norm = start.columns(min(1.0, STEP_FEATURES / self.channels))
        self.shortcut.weight.copy_(weight)
        self.shortcut.weight.requires_grad_(False)
        for linear in cast(Iterable[nn.Linear], self.pooled.values()):
            linear.weight.zero_()
            linear.bias.copy_(bias)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_views": {}}  # a copy makes its own, of its own weights

    def parts(self, architecture: Architecture) -> dict[str, Part]:
        """The parts of a legal architecture's path that have weights, by their name in a branch."""
        raise NotImplementedError

    def stem_view(self, width: int) -> Part:
        """The stem at one width."""
        return self.made_once(("stem", width), lambda: view(self.stem, stem(self.seen, width), width))

    def head_view(self, pooling: str, shortcut: bool, width: int) -> Part:
        """The head at one width."""

        def make() -> Part:
            head = Head(pooling, width, self.channels, self.values, shortcut=shortcut)
            head.dropout = self.dropout  # one switch for every path
            pooled = cast(nn.Linear, self.pooled[pooling])
            axes = [(self.values, *pooled_shape(pooling, size)) for size in (self.widest, width)]
            weight = partial(_head_weight, pooled, self.shortcut if shortcut else None, *axes)
            bias = borrowed(pooled, "bias", (self.values,))
            part = emptied(head, {"linear.weight": weight, "linear.bias": bias})
            if shortcut and self.shortcut_norm is not None:
                head.shortcut_norm = self.shortcut_norm
            return part

        return self.made_once(("head", pooling, shortcut, width), make)

    def made_once(self, key: tuple[object, ...], make: Callable[[], Part]) -> Part:
        """The view of this key; a path is walked thousands of times, its views are made the first time."""
        if key not in self._views:
            self._views[key] = make()
        return self._views[key]


def widths_of(space: Space) -> list[int]:
    """The widths a branch of the space may have."""
    (decision,) = (decision for decision in space.decisions if decision.kind == "width")
    return [int(width) for width in decision.choices]


def shared(part: nn.Sequential, widths: Sequence[int]) -> nn.Sequential:
    """A part as wide as the widest, with a norm per width and no activation: that has no weights."""
    if hasattr(part, "activation"):
        del part.activation
    part.norm = norms(widths)
    return part


def norms(widths: Sequence[int]) -> nn.ModuleDict:
    """A norm per width."""
    return nn.ModuleDict({str(width): nn.BatchNorm2d(width, track_running_stats=False) for width in widths})


def view(
    shared: nn.Module, module: nn.Module, width: int, made: Mapping[str, Callable[[], Tensor]] | None = None
) -> Part:
    """A module of one width that borrows its parameters from the shared one; those named in `made` are made so."""
    makers = dict(made or {})
    for name, parameter in module.named_parameters():
        if name not in makers:
            path, _, attribute = name.rpartition(".")
            owner = shared.get_submodule(f"norm.{width}" if path == "norm" else path)
            makers[name] = borrowed(owner, attribute, tuple(parameter.shape))
    return emptied(module, makers)


def _linear(inputs: int, values: int, *, bias: bool = True) -> nn.Linear:
    layer: nn.Linear = skip_init(nn.Linear, inputs, values, bias=bias)  # type: ignore[no-untyped-call]
    return layer


def _head_weight(
    pooled: nn.Linear, shortcut: nn.Linear | None, widest: tuple[int, ...], wanted: tuple[int, ...]
) -> Tensor:
    weight = corner(pooled.weight.view(widest), wanted).flatten(1)  # the features of the first channels
    return weight if shortcut is None else torch.cat([weight, shortcut.weight], dim=1)
