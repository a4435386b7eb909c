"""Commands of a project and of the machine: graftnet init, add and doctor."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.commands.options import HELP, SEARCH, START, Device, Folder, Json, Replace, Seed
from graftnet.terminal.output import answer

commands = typer.Typer()


@commands.command("init", rich_help_panel=START)
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new project's folder.")] = Path("."),
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", exists=True, file_okay=False, help="Pictures of the kind it is for."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a project folder.

    It gets a graftnet.toml with every setting explained, data/, and a git-
    ignored runs/. Backbone, image size and weights are chosen by a few of the
    pictures of --images and by what this machine has; the file says why.

    \b
    Examples:
      graftnet init people --images photos/ && cd people
      graftnet data import labels.csv --images photos/
      graftnet trunk probe
    """
    from graftnet.project.first_settings import first_settings
    from graftnet.project.toml_edit import write_project

    first = first_settings(images)
    config = write_project(folder, first)
    why = "\n".join(f"  {line}" for line in first.why)
    answer(
        {"project": folder.resolve(), "config": config.resolve(), "trunk": first.trunk, "why": first.why},
        f"Made {config} with every setting explained.\n{why}\n"
        f"Next: graftnet data import labels.csv --images photos/   (one column per attribute, blank = unknown)\n"
        f"Then: {first.next_call}",
        as_json=as_json,
    )


@commands.command("add", rich_help_panel=SEARCH)
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new attribute.")],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="Its images, a folder per value.")
    ],
    positive: Annotated[
        str | None, typer.Option("--positive", metavar="VALUE", help="The positive one of two values.")
    ] = None,
    replace: Replace = False,
    project: Folder = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Import, search, report and graft, in one command.

    \b
    Examples:
      graftnet add bald photos/bald          (photos/bald/no/*.jpg and photos/bald/yes/*.jpg)
    """
    from graftnet.bundles.tree import graft_attribute
    from graftnet.data.imports import ImportChoices, import_into, import_lines
    from graftnet.project.folder import open_project
    from graftnet.project.settings import seed_or
    from graftnet.searches.calls import search_in

    home = open_project(project)
    choices = ImportChoices(positive=(positive,) if positive else (), replace=replace)
    summary = import_into(home, folder, name, choices, seed=seed_or(seed, home))
    typer.echo("\n".join(import_lines(summary)), err=True)
    search = search_in(home, name, seed=seed, device=device)
    branch = graft_attribute(home, name)
    answer({**search.record, "branch": branch}, f"{search.text}\n  grafted {branch}", as_json=as_json)


@commands.command("status", rich_help_panel=HELP)
def status(project: Folder = None, as_json: Json = False) -> None:
    """Show what runs in a project, from another terminal.

    Which command, how far it is, the time left, where it writes, and how to
    stop it; and which searches were begun and wait to be continued.

    \b
    Examples:
      graftnet status
      graftnet status --project people --json
    """
    from graftnet.project.folder import open_project
    from graftnet.terminal.status import status_call

    answer(*status_call(open_project(project)), as_json=as_json)


@commands.command("doctor", rich_help_panel=HELP)
def doctor(as_json: Json = False) -> None:
    """Show what this machine has, and what is missing.

    Versions, devices, memory, disk, and the optional packages with the commands
    that need them.

    \b
    Examples:
      graftnet doctor
      graftnet doctor --json
    """
    from graftnet.project.machine import examination_lines, examine

    record = examine()
    answer(record, "\n".join(examination_lines(record)), as_json=as_json)
