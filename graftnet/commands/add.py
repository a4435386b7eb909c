"""graftnet add: a new attribute in one command."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Device, Folder, Json, Seed


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new attribute.")],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="Its images, a folder per value.")
    ],
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
    from graftnet.importing import import_folder, import_lines
    from graftnet.project import open_project
    from graftnet.searching import search_in
    from graftnet.settings import seed_or
    from graftnet.tree import graft_attribute

    home = open_project(project)
    summary = import_folder(home, folder, name, seed=seed_or(seed, home))
    typer.echo("\n".join(import_lines(summary)), err=True)
    found = search_in(home, name, seed=seed, device=device)
    branch = graft_attribute(home, name)
    answer({**found.record, "branch": branch}, f"{found.text}\n  grafted {branch}", as_json=as_json)
