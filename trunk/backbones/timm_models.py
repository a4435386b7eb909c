"""Models of timm by name as tables of numbered blocks: which modules follow one another is watched on one pass.

PyTorch Image Models (Wightman, 2019), https://github.com/huggingface/pytorch-image-models. What comes before the first
block is the stem, a block of its own. A network is a chain where every module reads what the one before it wrote, and
nothing else. That is seen on one pass, on the meta device: the very tensor that one module returns is the one that the
next is given, unchanged in between.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn

from trunk.backbones.chain import Backbone, BlockChain
from trunk.errors import TrunkError

CLOSE = 5  # names suggested for an unknown one
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


@cache
def timm_backbone(name: str) -> Backbone:
    """The table of timm's model of this name (without a tag of weights).

    Raises:
        TrunkError: it is not timm's, or it cannot be cut into blocks.
    """
    with torch.device("meta"):
        model: Any = timm.create_model(name, pretrained=False).eval()
        size = int(model.default_cfg["input_size"][-1])
        blocks, channels, sides = cut(name, model, torch.empty(1, 3, size, size))
    if channels != getattr(model, "num_features", channels):
        raise TrunkError(cannot(name, "its maps are not (channels, height, width)"))
    return Backbone(
        name=name,
        block_names=tuple(names[0] for names in blocks),
        build=partial(build, name, blocks),
        image_size=size,
        minimum_size=1,
        freeze_depth=sum(side > sides[-1] for side in sides) or max(1, len(sides) // 2),
    )


def cut(name: str, model: nn.Module, images: torch.Tensor) -> tuple[tuple[tuple[str, ...], ...], int, list[int]]:
    """The blocks (each the names of its modules, the one it is named after first in order), last channels, heights."""
    run = getattr(model, "forward_features", None)
    if run is None:
        raise TrunkError(cannot(name, "it has no convolutional part of its own"))
    try:
        calls = sequence_of(model, run, images)
    except TrunkError as error:
        raise TrunkError(cannot(name, str(error))) from error
    blocks = grouped(calls)
    maps = [block[-1].wrote for block in blocks]
    sides = []
    for block, written in zip(blocks, maps, strict=True):
        if written is None or written.tensor.dim() != 4:
            raise TrunkError(cannot(name, f"{block[-1].name} does not write a map (channels, height, width)"))
        sides.append(written.tensor.shape[2])
    last = maps[-1]
    assert last is not None
    return tuple(tuple(call.name for call in block) for block in blocks), last.tensor.shape[1], sides


def grouped(calls: Sequence[Call]) -> list[list[Call]]:
    """Modules -> blocks: each begins at a module that holds weighted layers; norms and the like join the one before.

    Of a network with blocks of several such layers, all that precedes the first is the stem, one block. A module that
    writes into what it reads joins the one before it too: nothing may be cut off there and kept.
    """
    first = next((number for number, call in enumerate(calls) if call.weighted > 1), 0)
    blocks = [list(calls[:first])] if first else []
    started = bool(first)
    for call in calls[first:]:
        if not blocks or (call.weighted and started and not call.in_place):
            blocks.append([])
        blocks[-1].append(call)
        started = started or bool(call.weighted)
    return blocks


def build(name: str, blocks: tuple[tuple[str, ...], ...]) -> BlockChain:
    """The model's convolutional part, with new weights under timm's names."""
    model = timm.create_model(name, pretrained=False)
    return BlockChain([[(path, model.get_submodule(path)) for path in block] for block in blocks])


def cannot(name: str, why: str) -> str:
    """The sentence for a model that is no chain of maps."""
    return (
        f"The backbone {name} cannot be cut into blocks: {why}; transformers and networks of several resolutions at "
        f"once cannot, choose a plain convolutional one such as resnet50 or tresnet_m."
    )


def known(name: str) -> bool:
    """Whether timm has a model of this name."""
    return timm.is_model(name)


def close_names(name: str, others: Sequence[str]) -> list[str]:
    """The names most like an unknown one, of these and timm's."""
    return difflib.get_close_matches(name, sorted({*others, *timm.list_models()}), n=CLOSE, cutoff=0.6)


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


def same(state: State, other: State) -> bool:
    return state.tensor is other.tensor and state.version == other.version


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
        type(part.module) is nn.Sequential and any(inner.weighted > 1 for inner in part.inside) for part in call.inside
    )
    if type(call.module) is nn.Sequential or (weighted and (blocks or stack)):
        return [inner for part in call.inside for inner in opened(part)]
    return [call]
