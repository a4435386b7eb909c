"""graftnet demo: the whole way, on images that come with scikit-learn."""

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
    quick: Annotated[bool, typer.Option("--quick", help="One attribute and short training: about a minute.")] = False,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Makes the run repeatable.")] = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Go all the way on scikit-learn's digits.

    Import, train a trunk, search, report, graft, export, verify, predict;
    minutes on two cores, no download.

    \b
    Examples:
      graftnet demo --quick
      graftnet demo --folder /tmp/digits
    """
    from graftnet.commands.digits_demo import run_demo

    record, text = run_demo(folder, quick=quick, seed=seed, device=device)
    answer(record, text, as_json=as_json)
