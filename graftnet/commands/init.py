"""graftnet init: a new project folder."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Json


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new project's folder.")] = Path("."),
    as_json: Json = False,
) -> None:
    """Make a project folder.

    It gets a graftnet.toml with every setting explained, data/, and a git-
    ignored runs/.

    \b
    Examples:
      graftnet init people && cd people
    """
    from graftnet.template import write_project

    config = write_project(folder)
    answer(
        {"project": folder.resolve(), "config": config.resolve()},
        f"Made {config} with every setting explained.\n"
        "Next: graftnet data import labels.csv --images photos/   (one column per attribute, blank = unknown)",
        as_json=as_json,
    )
