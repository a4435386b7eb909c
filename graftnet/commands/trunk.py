"""graftnet trunk: the shared, frozen blocks."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from graftnet.commands.options import START, Device, Folder, Json, Seed
from graftnet.terminal.output import answer, text_table

MAX_DROP = 0.005  # of a score; the figures of a branch that is trained again differ by less
commands = typer.Typer()
app = typer.Typer(
    no_args_is_help=True,
    help="The frozen blocks that all branches share: train, use, blocks, probe, switch, what stands when.",
)
commands.add_typer(app, name="trunk", rich_help_panel=START)


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
    checkpoint. Where branches are grafted on another version, that one stays in
    use until `graftnet trunk switch`.
    """
    from graftnet.project.folder import open_project
    from graftnet.project.machine import choose_device
    from graftnet.project.settings import seed_or
    from graftnet.terminal.output import show_progress
    from graftnet.trunks.versions import train_trunk
    from trunk.pretraining.ranks import ranks_of_torchrun

    home = open_project(project)
    with ranks_of_torchrun(choose_device(device)) as (ranks, own_device), show_progress() as progress:
        folder = train_trunk(
            home, seed=seed_or(seed, home), device=own_device, progress=progress if ranks.first else None, ranks=ranks
        )
    if ranks.first:
        describe(folder, "Trained", as_json, in_use=home.current_trunk)


@app.command("use")
def use(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="imagenet, timm:NAME, a weights file, a trunk folder, or another project. Default: list them.",
        ),
    ] = None,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Take existing weights as the trunk, instead of training one.

    Without SOURCE it lists what can be had here and now, best first, and changes
    nothing. Weights bring their own mean, std and interpolation, unless
    graftnet.toml sets them.

    \b
    Examples:
      graftnet trunk use
      graftnet trunk use imagenet              (the best of trunk.backbone)
      graftnet trunk use inception_v3.safetensors
      graftnet trunk use ../people             (another project's trunk)
    """
    from graftnet.project.folder import open_project
    from graftnet.trunks.offers import offer_lines, offers
    from graftnet.trunks.versions import use_trunk

    home = open_project(project)
    if source is None:
        found = offers(home)
        answer(found, "\n".join(offer_lines(found)), as_json=as_json)
        return
    folder = use_trunk(home, source)
    describe(folder, "Using" if folder == home.current_trunk else "Brought", as_json, in_use=home.current_trunk)


@app.command("info")
def info(project: Folder = None, as_json: Json = False) -> None:
    """Show the trunk in use.

    \b
    Examples:
      graftnet trunk info
    """
    from graftnet.project.folder import open_project

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
        str | None,
        typer.Option("--size", metavar="PX", help="Side of the images, or HxW. Default: trunk.image_size."),
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
      graftnet trunk blocks --backbone tresnet_m --size 224x112
    """
    from graftnet.project.config import size_of_text
    from graftnet.project.folder import project_here
    from graftnet.trunks.advice import depth_in_use
    from trunk.backbones.table import block_table

    home = project_here(project)
    own = home.config.trunk if home and backbone in (None, home.config.trunk.backbone) else None
    asked = size_of_text(size) if size else None
    if home and own:
        depth = own.freeze_depth if asked else depth_in_use(home)  # at another size nothing was probed
        table = block_table(own.backbone, asked or own.image_size, depth)
    else:
        table = block_table(backbone or "inception_v3", asked)
    answer(table, "\n".join(block_lines(table)), as_json=as_json)


@app.command("probe")
def probe(
    attributes: Annotated[list[str] | None, typer.Argument(metavar="ATTR...", help="Default: all of them.")] = None,
    race: Annotated[
        int, typer.Option(min=0, metavar="N", help="Then train short branches at the N best depths, by halving.")
    ] = 0,
    project: Folder = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure what each depth of the trunk is worth, before any search.

    In one pass of the trunk over train and val: logistic regression on the
    averaged maps of every depth. Prints val AUROC and milliseconds per depth, and
    the depth it advises; where trunk.freeze_depth is 0, new searches take that.

    \b
    Examples:
      graftnet trunk probe
      graftnet trunk probe bald backpack --json
      graftnet trunk probe bald --race 4

    With --race, branches of a few architectures are trained at the depths that the
    probes rank first, shortly, the better half of them longer; what comes through
    is where new searches of the attribute cut.

    The averages are kept in runs/cache, for all attributes: what was stopped goes
    on, and a further attribute costs its new images alone.
    """
    if race:
        from graftnet.studies.cuts import race_call

        answer(*race_call(project, attributes or (), count=race, device=device), as_json=as_json)
        return
    from graftnet.studies.probe import probe_call

    answer(*probe_call(project, attributes or (), device=device), as_json=as_json)


@app.command("status")
def status(project: Folder = None, as_json: Json = False) -> None:
    """Say whether it is time to train the trunk again.

    Counts the attributes that are new since its last training: at 5 to 7 a new
    trunk pays (\\[trunk] retrain_due, retrain_overdue). Lists the versions.

    \b
    Examples:
      graftnet trunk status
    """
    from graftnet.project.folder import open_project
    from graftnet.trunks.served import status_lines, trunk_status

    record = trunk_status(open_project(project))
    answer(record, "\n".join(status_lines(record)), as_json=as_json)


@app.command("switch")
def switch(
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Default: the newest that is not in use.")
    ] = None,
    search: Annotated[
        bool,
        typer.Option("--search/--retrain", help="Search every architecture again, or train those there are (default)."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Change over without asking.")] = False,
    most: Annotated[
        float, typer.Option("--max-drop", min=0, metavar="X", help="Refuse if a branch's val score falls by more.")
    ] = MAX_DROP,
    project: Folder = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Make every grafted branch anew on another version, and change over.

    Shows old and new figures side by side. All branches and the trunk change at
    once, or nothing does; until then, the old ones are served. A branch whose val
    score falls by more than --max-drop keeps all from changing. --search searches
    with graftnet.toml's settings and limits, at each branch's depth. Killed, it
    continues when called again. `graftnet trunk rollback` takes it back.

    \b
    Examples:
      graftnet trunk switch
      graftnet trunk switch --search --yes --max-drop 0.01
    """
    from graftnet.project.folder import open_project
    from graftnet.project.machine import choose_device
    from graftnet.project.settings import seed_or
    from graftnet.searches.side_by_side import table_lines
    from graftnet.searches.switch import change_over, prepare
    from graftnet.terminal.output import show_progress
    from graftnet.trunks.served import choose_version

    home = open_project(project)
    chosen = choose_version(home, version)
    with show_progress() as progress:
        made = prepare(
            home, chosen, search=search, seed=seed_or(seed, home), device=choose_device(device), progress=progress
        )
    lines = table_lines(made.branches, made.now.version, made.version)
    refusal = made.refusal(most)
    agreed = yes
    if not (refusal or yes or as_json) and sys.stdin.isatty():
        typer.echo("\n".join(lines), err=True)
        lines = []
        agreed = typer.confirm(f"Change over to trunk {chosen}?", err=True)
    switched = agreed and not refusal
    if switched:
        change_over(home, made)
    lines.append(
        f"Changed over to trunk {chosen}; `graftnet trunk rollback` takes it back. Next: graftnet export --all"
        if switched
        else f"Not changed over: trunk {made.now.version} and its branches are served on"
        + ("." if refusal else " (--yes changes over).")
    )
    answer({**made.record(), "switched": switched, "refused": refusal}, "\n".join(lines), as_json=as_json)
    if refusal:
        typer.echo(refusal, err=True)
        raise typer.Exit(1)


@app.command("rollback")
def rollback(project: Folder = None, as_json: Json = False) -> None:
    """Serve the trunk and the branches from before the last switch.

    Nothing is trained; `graftnet trunk switch` goes forward again.

    \b
    Examples:
      graftnet trunk rollback
    """
    from graftnet.project.folder import open_project
    from graftnet.trunks.served import grafted, roll_back

    home = open_project(project)
    left, back = roll_back(home)
    lost = sorted(grafted(home.runs / left.tree).keys() - grafted(home.runs / back.tree).keys())
    record = {"from": left.version, "to": back.version, "attributes": list(grafted(home.tree)), "left": lost}
    lines = [f"Back on trunk {back.version}, with {', '.join(record['attributes']) or 'no branches'}."]
    if lost:
        lines.append(f"Grafted since, on trunk {left.version} alone: {', '.join(lost)}; search and graft them here.")
    answer(record, "\n".join(lines), as_json=as_json)


def describe(folder: Path, verb: str, as_json: bool, *, in_use: Path | None = None) -> None:
    """Show what a trunk folder's trunk.json says, and, where ``in_use`` is another folder, how to change over."""
    from foundation.records import read_record
    from trunk.records import TrunkShape

    record = read_record(folder / "trunk.json", TrunkShape)
    lines = [f"{verb} trunk {folder.name} ({folder})"]
    lines += [
        f"  {key}: {value}"
        for key, value in record.items()
        if not isinstance(value, (dict, list)) and key != "input_from"
    ]
    lines.append(f"  input: {input_line(record['preprocessing'], record.get('input_from'))}")
    lines += [f"  {note}" for note in record.get("notes", [])]
    waiting = in_use is not None and in_use != folder
    if in_use is not None and waiting:
        lines.append(f"Trunk {in_use.name} stays in use, for branches are grafted on it. Next: graftnet trunk switch")
    answer({"folder": folder, "in_use": not waiting, **record}, "\n".join(lines), as_json=as_json)


def input_line(own: Mapping[str, Any], origin: str | None) -> str:
    """What a trunk's images go through, and who says so.

    >>> own = {"size": [224, 112], "mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "fit": "pad"}
    >>> input_line(own, "timm's configuration of resnet18")
    "224 x 112 pixels, pad; mean 0.5 0.5 0.5, std 0.25 0.25 0.25, bicubic (timm's configuration of resnet18)"
    """
    height, width = own["size"] if isinstance(own["size"], list) else (own["size"],) * 2
    fit = own.get("fit", "squash") + (f" {own['crop']:g}" if "crop" in own else "")
    mean, std = (" ".join(f"{value:g}" for value in own[key]) for key in ("mean", "std"))
    where = f" ({origin})" if origin else ""
    return f"{height} x {width} pixels, {fit}; mean {mean}, std {std}, {own['interpolation']}{where}"


BLOCK_HEAD = ("block", "depth", "name", "channels", "map", "stride", "parameters")


def block_lines(table: Mapping[str, Any]) -> list[str]:
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
    head, *lines = text_table([BLOCK_HEAD, *rows], ">><><>>")
    lines.insert(table["freeze_depth"], end)
    size = table["image_size"]
    shown = size if isinstance(size, int) else " x ".join(map(str, size))
    return [f"{table['backbone']}, images of {shown} pixels", head, *lines]
