"""Find a backbone by its name, ours or timm's, and the shapes of its maps at an image size."""

from functools import cache

import torch

from trunk.backbones.chain import BACKBONES, Backbone
from trunk.errors import TrunkError

STEP = 16  # pixels from one size that is tried to the next, when one was too small


def find_backbone(name: str) -> Backbone:
    """The table of this name: one of :data:`trunk.backbones.chain.BACKBONES`, or a convolutional model of timm's.

    Raises:
        TrunkError: there is none, or it cannot be cut into blocks.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    from trunk.backbones.timm_models import close_names, known, timm_backbone

    base, _, tag = name.partition(".")
    if tag and (base in BACKBONES or known(base)):
        raise TrunkError(
            f"{name!r} names weights; set trunk.backbone to {base!r} and call 'graftnet trunk use timm:{name}'."
        )
    if not known(name):
        close = close_names(name, list(BACKBONES))
        hint = (
            f"did you mean {', '.join(close)}?" if close else f"choose {', '.join(BACKBONES)} or a timm model's name."
        )
        raise TrunkError(f"There is no backbone {name!r}, here or in timm; {hint}")
    return timm_backbone(name)


@cache
def block_shapes(name: str, size: int | tuple[int, int]) -> tuple[tuple[int, int, int], ...]:
    """(C, H, W) after each block, found on the meta device at no cost.

    size: of the images, of a square's side or (height, width).

    Raises:
        TrunkError: images of this size do not reach the last block.
    """
    backbone = find_backbone(name)
    height, width = (size, size) if isinstance(size, int) else size
    shapes = shapes_at(backbone, height, width) if min(height, width) >= backbone.minimum_size else None
    if shapes is None:
        larger = (backbone.minimum_size, *range(-(-min(height, width) // STEP) * STEP, backbone.image_size, STEP))
        smallest = next((side for side in larger if shapes_at(backbone, side, side)), backbone.image_size)
        shown = f"{height}" if height == width else f"{height} x {width}"
        raise TrunkError(f"Images of {shown} pixels are too small for {name}; use {smallest} or more.")
    return shapes


def shapes_at(backbone: Backbone, height: int, width: int) -> tuple[tuple[int, int, int], ...] | None:
    """(C, H, W) after each block; None where images of this size shrink to nothing on the way."""
    shapes = []
    with torch.device("meta"), torch.no_grad():
        chain = backbone.build().eval()
        features = torch.empty(1, 3, height, width)
        try:
            for number in range(len(chain)):
                features = chain.run_block(number, features)
                shapes.append((features.shape[1], features.shape[2], features.shape[3]))
        except (RuntimeError, AssertionError, ValueError):
            return None
    return tuple(shapes) if min(shapes[-1]) else None
