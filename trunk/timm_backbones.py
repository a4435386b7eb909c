"""timm's convolutional models by name, as tables of numbered blocks.

PyTorch Image Models (Wightman, 2019), https://github.com/huggingface/pytorch-image-models. Which modules follow one
another is seen on a pass (`trunk.sequence`); what comes before the first block is the stem, a block of its own.
"""

import difflib
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import timm
import torch
from torch import nn

from trunk.backbones import Backbone, BlockChain
from trunk.errors import TrunkError
from trunk.sequence import Call, sequence_of

CLOSE = 5  # names suggested for an unknown one


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
    for block, found in zip(blocks, maps, strict=True):
        if found is None or found.tensor.dim() != 4:
            raise TrunkError(cannot(name, f"{block[-1].name} does not write a map (channels, height, width)"))
        sides.append(found.tensor.shape[2])
    last = maps[-1]
    assert last is not None
    return tuple(tuple(call.name for call in block) for block in blocks), last.tensor.shape[1], sides


def grouped(calls: Sequence[Call]) -> list[list[Call]]:
    """Modules -> blocks: each begins at a module that holds weighted layers; norms and the like join the one before.

    Of a network with blocks of several such layers, all that precedes the first is the stem, one block. A module that
    writes into what it reads joins the one before it too: nothing may be cut off there and kept.
    """
    first = next((place for place, call in enumerate(calls) if call.weighted > 1), 0)
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
