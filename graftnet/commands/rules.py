"""graftnet rules: attributes to actions, checked and tried before they are served."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Json

app = typer.Typer(
    no_args_is_help=True, help="Rules from attributes to actions: check them, try them on labelled images."
)

RulesFile = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The rules, TOML.")]
Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", exists=True, file_okay=False, help="What they are for.")]


@app.command("check")
def check(rules: RulesFile, bundle: Bundle, as_json: Json = False) -> None:
    """Say what is wrong with rules, line by line.

    Names of attributes and values that the bundle has not, conditions that
    cannot be read, settings that do not exist.

    \b
    Examples:
      graftnet rules check rules.toml runs/exports/bundle

    Exit code 2 when something is wrong.
    """
    from deployment.errors import RulesError
    from deployment.rules import Rules
    from deployment.runtime import Runtime
    from graftnet.simulating import uncalibrated, uncalibrated_lines

    runtime = Runtime(bundle)
    try:
        found = Rules.read(rules, runtime.contracts)
    except RulesError as error:
        problems = [{"file": str(rules), "line": line, "message": text} for line, text in error.problems]
        lines = [f"error: {rules}:{line}: {text}" for line, text in error.problems]
        answer({"ok": False, "problems": problems}, "\n".join(lines), as_json=as_json)
        raise typer.Exit(2) from error
    raw = uncalibrated(runtime, found)
    names = [rule.name for rule in found.rules]
    counted = f"{len(names)} rule{'' if len(names) == 1 else 's'}"
    lines = [f"{counted}, on {', '.join(found.attributes)}: all is well.", *uncalibrated_lines(raw)]
    record = {"ok": True, "problems": [], "rules": names, "attributes": found.attributes, "uncalibrated": raw}
    answer(record, "\n".join(lines), as_json=as_json)


@app.command("simulate")
def simulate(
    rules: RulesFile,
    bundle: Bundle,
    labelled: Annotated[
        Path,
        typer.Argument(metavar="LABELLED", exists=True, help="A table (.csv) of images and labels, or a project."),
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", exists=True, file_okay=False, help="Where the table's images are."),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="train, val, test or all; of a table with such a column.")
    ] = "test",
    every: Annotated[
        float | None,
        typer.Option(
            "--every", min=0, metavar="SECONDS", help="Between images: cool-downs count. Default: they do not."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how often rules would fire, and how often in error.

    Each rule's precision and recall by the labels, how often it abstains, and
    the false pushes to expect per 1,000 images like these, with 95 % intervals.

    \b
    Examples:
      graftnet rules simulate rules.toml runs/exports/bundle .
      graftnet rules simulate rules.toml bundle/ labels.csv --images photos/
      graftnet rules simulate rules.toml bundle/ . --every 5 --json

    A table has a column with the image's file and one per attribute, blank
    where a label is unknown.
    """
    from graftnet.progress import show_progress
    from graftnet.simulating import simulate_rules, simulation_lines

    with show_progress() as progress:
        record = simulate_rules(rules, bundle, labelled, images=images, split=split, every=every, progress=progress)
    answer(record, "\n".join(simulation_lines(record)), as_json=as_json)
