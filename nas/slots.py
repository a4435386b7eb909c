"""A module of a branch that borrows its parameters: slots, filled with shared tensors before each run."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional


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
