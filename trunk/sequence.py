"""How a network runs, module after module: watched once, so that any network can be cut where one map passes on.

A network is a chain where every module reads what the one before it wrote, and nothing else. That is seen on one pass,
on the meta device: the very tensor that one module returns is the one that the next is given, unchanged in between.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trunk.errors import TrunkError

WEIGHTED = (nn.Conv2d, nn.Linear)


class State(NamedTuple):
    """A tensor, and how often it had been written to in place."""

    tensor: Tensor
    version: int


@dataclass
class Call:
    """One module's run: what it read and wrote (None where that is not one tensor), and the runs inside it.

    in_place: it wrote into what it read.
    """

    name: str
    module: nn.Module
    read: State | None
    wrote: State | None = None
    in_place: bool = False
    inside: list["Call"] = field(default_factory=list)

    @property
    def weighted(self) -> int:
        """How many convolutions and linear layers it holds."""
        return sum(isinstance(part, WEIGHTED) for part in self.module.modules())


def sequence_of(model: nn.Module, run: Callable[[Tensor], Any], images: Tensor) -> list[Call]:
    """The modules that `run(images)` goes through one after the other, opened as far as they are chains of blocks.

    Raises: TrunkError, a clause that names the module where the chain breaks.
    """
    start = state_of(images)
    assert start is not None
    whole = Call("", model, start, inside=watched(model, run, images))
    result = whole.inside.pop()  # the pass as a whole, kept last
    whole.wrote = result.wrote
    broken = break_of(whole)
    if broken is not None:
        raise TrunkError(broken)
    return [part for call in whole.inside for part in opened(call)]


def watched(model: nn.Module, run: Callable[[Tensor], Any], images: Tensor) -> list[Call]:
    """The outermost modules that a pass runs, in order, and at the end the pass itself."""
    outermost = Call("", model, None)
    stack = [outermost]

    def enter(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            given = [value for value in (*inputs, *named.values()) if isinstance(value, Tensor | list | tuple)]
            call = Call(name, module, state_of(given[0]) if len(given) == 1 else None)
            stack[-1].inside.append(call)
            stack.append(call)

        return hook

    def leave(_module: nn.Module, _inputs: tuple[Any, ...], written: Any) -> None:
        call = stack.pop()
        call.wrote = state_of(written)
        call.in_place = call.read is not None and call.read.tensor._version > call.read.version

    hooks = []
    for name, module in model.named_modules():
        if name:
            hooks.append(module.register_forward_pre_hook(enter(name), with_kwargs=True))
            hooks.append(module.register_forward_hook(leave))
    try:
        with torch.no_grad():
            result = run(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [*outermost.inside, Call("", model, None, state_of(result))]


def state_of(value: Any) -> State | None:
    """A tensor as it is now; None for anything else."""
    return State(value, value._version) if isinstance(value, Tensor) else None


def break_of(call: Call) -> str | None:
    """Where the modules inside are no chain from what was read to what was written; None where they are one."""
    current, last = call.read, "its input"
    for part in call.inside:
        if current is None or part.read is None or not same(part.read, current):
            return f"{part.name} does not read what {last} wrote, and that alone"
        current, last = part.wrote, part.name
    if current is None or call.wrote is None or not same(current, call.wrote):
        return f"its map is not what {last} wrote"
    return None


def same(one: State, other: State) -> bool:
    return one.tensor is other.tensor and one.version == other.version


def opened(call: Call) -> list[Call]:
    """The parts of a chain of blocks, opened in turn; a block, or a single layer, as it is.

    Opened are plain `nn.Sequential`s, and stages: chains of blocks (which hold two weighted layers or more) alone, or
    with a `nn.Sequential` of them. A block that is a chain, such as a residual block without its shortcut, stays whole.
    """
    if not call.inside or break_of(call) is not None:
        return [call]
    weighted = [part for part in call.inside if part.weighted]
    blocks = all(part.weighted > 1 for part in weighted)
    stack = any(
        type(part.module) is nn.Sequential and any(one.weighted > 1 for one in part.inside) for part in call.inside
    )
    if type(call.module) is nn.Sequential or (weighted and (blocks or stack)):
        return [one for part in call.inside for one in opened(part)]
    return [call]
