"""The options that many commands share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path | None,
    typer.Option("--project", "-p", metavar="DIR", help="The project folder. Default: found from here upward."),
]
Json = Annotated[bool, typer.Option("--json", help="The last line of standard output is one JSON object.")]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, metavar="N", help="Makes the run repeatable. Default: project.seed."),
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda (cuda:1) or mps.")]
