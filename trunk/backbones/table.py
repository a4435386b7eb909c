"""Table of a backbone's numbered blocks: what each writes, and where a trunk may end."""

from typing import Any

import torch

from trunk.backbones.chain import BlockChain
from trunk.backbones.find import block_shapes, find_backbone


def block_table(backbone: str, size: int | tuple[int, int] | None = None, freeze_depth: int = 0) -> dict[str, Any]:
    """The table of a backbone at an image size, a square's or (height, width); what is not given is the backbone's own.

    Per block: its number from 0, the freeze depth that ends with it, the name of its first module, the channels, height
    and width of its map, the stride against the image (the number of pixels one position stands for), its weights.

    Raises: TrunkError: there is no such backbone, it cannot be cut, or the images are too small for it.
    """
    chosen = find_backbone(backbone)
    size = size or chosen.image_size
    tall = size if isinstance(size, int) else size[0]
    with torch.device("meta"):
        chain = chosen.build()
    rows = [
        {
            "block": number,
            "depth": number + 1,
            "name": name,
            "channels": channels,
            "height": height,
            "width": width,
            "stride": round(tall / height),
            "parameters": weights(chain, number),
        }
        for number, (name, (channels, height, width)) in enumerate(
            zip(chosen.block_names, block_shapes(chosen.name, size), strict=True)
        )
    ]
    depth = freeze_depth or chosen.freeze_depth
    shown = size if isinstance(size, int) else list(size)
    return {"backbone": chosen.name, "image_size": shown, "freeze_depth": depth, "blocks": rows}


def weights(chain: BlockChain, number: int) -> int:
    """The trainable weights of one block."""
    parts = (chain.get_submodule(name) for name in chain.block_modules[number])
    return sum(weight.numel() for part in parts for weight in part.parameters())
