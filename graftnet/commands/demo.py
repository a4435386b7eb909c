"""graftnet demo: the whole way, on images that come with scikit-learn, or on photographs."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.commands.options import HELP, Device, Json
from graftnet.terminal.output import answer

commands = typer.Typer()


@commands.command("demo", rich_help_panel=HELP)
def demo(
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where the demo's project is made.")] = Path(
        "graftnet-demo"
    ),
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", exists=True, file_okay=False, help="Photographs, a folder per value; instead of the digits."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One attribute and short training: about a minute.")] = False,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Makes the run repeatable.")] = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Go all the way on scikit-learn's digits, or on your photographs.

    Import, train a trunk, search, report, graft, export, verify, predict;
    minutes on two cores, no download. Photographs get a trunk of published
    weights; of PHOTOS/QUESTION/VALUE/*.jpg every question gets a branch.

    \b
    Examples:
      graftnet demo --quick
      graftnet demo --photos hats/           (hats/no/*.jpg and hats/yes/*.jpg)
    """
    if photos is not None:
        from graftnet.commands.demos.photos import run_photos_demo

        record, text = run_photos_demo(photos, folder, quick=quick, seed=seed, device=device)
    else:
        from graftnet.commands.demos.digits import run_demo

        record, text = run_demo(folder, quick=quick, seed=seed, device=device)
    answer(record, text, as_json=as_json)
