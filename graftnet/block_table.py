"""A backbone's numbered blocks as a table: what each writes, and where the trunk may end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from graftnet.answer import text_table
from graftnet.project import project_here
from trunk.backbones import BlockChain, block_shapes, find_backbone

HEAD = ("block", "depth", "name", "channels", "map", "stride", "parameters")


def block_table(folder: Path | None, backbone: str | None, size: int | None) -> dict[str, Any]:
    """The table of a backbone at an image size; what is not given is the project's, or the backbone's own.

    Per block: its number from 0, the freeze depth that ends with it, the name of its first module, the channels, height
    and width of its map, the stride against the image (the number of pixels one position stands for), its weights.

    Raises: TrunkError: there is no such backbone, it cannot be cut, or the images are too small for it.
    """
    home = project_here(folder)
    table = home.config.trunk if home else None
    found = find_backbone(backbone or (table.backbone if table else "inception_v3"))
    configured = table is not None and found.name == table.backbone
    side = size or (table.image_size if table and configured else found.image_size)
    with torch.device("meta"):
        chain = found.build()
    rows = [
        {
            "block": number,
            "depth": number + 1,
            "name": name,
            "channels": channels,
            "height": height,
            "width": width,
            "stride": round(side / height),
            "parameters": weights(chain, number),
        }
        for number, (name, (channels, height, width)) in enumerate(
            zip(found.block_names, block_shapes(found.name, side), strict=True)
        )
    ]
    depth = (table.freeze_depth if table and configured else 0) or found.freeze_depth
    return {"backbone": found.name, "image_size": side, "freeze_depth": depth, "blocks": rows}


def weights(chain: BlockChain, number: int) -> int:
    """The trainable weights of one block."""
    parts = (chain.get_submodule(name) for name in chain.block_modules[number])
    return sum(weight.numel() for part in parts for weight in part.parameters())


def table_lines(table: Mapping[str, Any]) -> list[str]:
    """The table as text; a rule marks the end of the trunk."""
    rows = [
        (
            str(row["block"]),
            str(row["depth"]),
            str(row["name"]),
            f"{row['channels']:,}",
            f"{row['height']}x{row['width']}",
            str(row["stride"]),
            f"{row['parameters']:,}",
        )
        for row in table["blocks"]
    ]
    end = f"-- a trunk of freeze_depth {table['freeze_depth']} ends here --"
    head, *lines = text_table([HEAD, *rows], ">><><>>")
    lines.insert(table["freeze_depth"], end)
    return [f"{table['backbone']}, images of {table['image_size']} pixels", head, *lines]
