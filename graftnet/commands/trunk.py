"""graftnet trunk: the shared, frozen blocks."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Device, Folder, Json, Seed

app = typer.Typer(no_args_is_help=True, help="The frozen blocks that all branches share: train, use, info, blocks.")


@app.command("train")
def train(project: Folder = None, seed: Seed = None, device: Device = "auto", as_json: Json = False) -> None:
    """Pre-train the trunk on the project's attributes.

    By the dynamic graph, or as trunk.method says; the recipe is the
    \\[trunk] table of graftnet.toml.

    \b
    Examples:
      graftnet trunk train
      graftnet trunk train --device cuda --seed 1
      torchrun --nproc-per-node 2 -m graftnet trunk train   (the same on two GPUs)

    It survives Ctrl-C and kill: call it again and it continues at its last
    checkpoint.
    """
    from graftnet.devices import choose_device
    from graftnet.process_group import ranks_of_torchrun
    from graftnet.progress import show_progress
    from graftnet.project import open_project
    from graftnet.settings import seed_or
    from graftnet.trunks import train_trunk

    home = open_project(project)
    with ranks_of_torchrun(choose_device(device)) as (ranks, own_device), show_progress() as progress:
        folder = train_trunk(
            home, seed=seed_or(seed, home), device=own_device, progress=progress if ranks.first else None, ranks=ranks
        )
    if ranks.first:
        describe(folder, "Trained", as_json)


@app.command("use")
def use(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="imagenet, timm:NAME, a weights file, a trunk folder, or another project."
        ),
    ],
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Take existing weights as the trunk, instead of training one.

    \b
    Examples:
      graftnet trunk use inception_v3.safetensors
      graftnet trunk use imagenet              (torchvision's; downloaded)
      graftnet trunk use ../people             (another project's trunk)
    """
    from graftnet.project import open_project
    from graftnet.trunks import use_trunk

    describe(use_trunk(open_project(project), source), "Using", as_json)


@app.command("info")
def info(project: Folder = None, as_json: Json = False) -> None:
    """Show the trunk in use.

    \b
    Examples:
      graftnet trunk info
    """
    from graftnet.project import open_project

    describe(open_project(project).current_trunk, "In use:", as_json)


@app.command("blocks")
def blocks(
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone", metavar="NAME", help="inception_v3, small_cnn or a timm model. Default: trunk.backbone."
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", min=1, metavar="PX", help="Side of the images. Default: trunk.image_size.")
    ] = None,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Show where a backbone can be cut: its numbered blocks.

    Trunk.freeze_depth D keeps blocks 0 to D - 1; a branch reads what the last of
    them writes.

    \b
    Examples:
      graftnet trunk blocks
      graftnet trunk blocks --backbone tresnet_m --size 224
    """
    from graftnet.block_table import block_table, table_lines

    table = block_table(project, backbone, size)
    answer(table, "\n".join(table_lines(table)), as_json=as_json)


def describe(folder: Path, verb: str, as_json: bool) -> None:
    """Show what a trunk folder's trunk.json says."""
    import json

    record = json.loads((folder / "trunk.json").read_text(encoding="utf-8"))
    lines = [f"{verb} trunk {folder.name} ({folder})"]
    lines += [f"  {key}: {value}" for key, value in record.items() if not isinstance(value, (dict, list))]
    answer({"folder": folder, **record}, "\n".join(lines), as_json=as_json)
