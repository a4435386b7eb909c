"""graftnet data: sub-datasets in, and what is wrong with them."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.commands.persons import persons
from graftnet.options import Device, Folder, Json, Seed

app = typer.Typer(no_args_is_help=True, help="Sub-datasets: import them, check them, mine hard negatives.")
app.command("persons")(persons)


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", exists=True, help="A table (.csv), one column per attribute; or a folder of values."
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", exists=True, file_okay=False, help="Where the table's images are."),
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--column", metavar="NAME", help="Only this column; may be repeated.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="ATTR", help="With a folder: the attribute.")] = None,
    project: Folder = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Import a table of labels, or a folder of images.

    \b
    Examples:
      graftnet data import labels.csv --images photos/
      graftnet data import labels.csv --images photos/ --column bald --column backpack
      graftnet data import photos_by_value/ --name bald

    A table has a column with the image's file and one column per attribute: 0/1
    or names of values, blank where it is unknown; columns split and group are
    optional. A folder is NAME/SPLIT/VALUE/*.jpg or NAME/VALUE/*.jpg.
    """
    from graftnet.importing import import_folder, import_labels_table, import_lines
    from graftnet.project import open_project
    from graftnet.settings import seed_or

    home = open_project(project)
    chosen = seed_or(seed, home)
    if source.is_dir():
        summary = import_folder(home, source, name or source.resolve().name, seed=chosen)
    else:
        summary = import_labels_table(home, source, images or source.parent, columns, seed=chosen)
    record = {
        "attributes": {subdataset.attribute.name: subdataset.counts() for subdataset in summary.subdatasets},
        "skipped": {each.column: each.reason for each in summary.skipped},
        "notes": summary.notes,
    }
    answer(record, "\n".join(import_lines(summary)), as_json=as_json)


@app.command("check")
def check(
    attributes: Annotated[list[str] | None, typer.Argument(metavar="ATTR...", help="Default: all of them.")] = None,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with the sub-datasets, file by file.

    Unreadable images, missing files, the same image in two splits, conflicting
    labels, empty values.

    \b
    Examples:
      graftnet data check
      graftnet data check bald --json

    Exit code 2 when there is an error; warnings alone give 0.
    """
    from graftnet.importing import problem_lines
    from graftnet.project import open_project
    from subdatasets.checks import check_subdatasets

    home = open_project(project)
    sources = [home.source(name) for name in attributes] if attributes else list(home.sources().values())
    problems = check_subdatasets(sources)
    errors = sum(problem.severity == "error" for problem in problems)
    shown = [
        {"severity": problem.severity, "file": problem.file, "line": problem.line, "message": problem.message}
        for problem in problems
    ]
    record = {"checked": len(sources), "errors": errors, "warnings": len(problems) - errors, "problems": shown}
    answer(record, "\n".join(problem_lines(problems, checked=len(sources))), as_json=as_json)
    if errors:
        raise typer.Exit(2)


@app.command("mine")
def mine(
    attribute: Annotated[str, typer.Argument(metavar="ATTR", help="An attribute with many negatives.")],
    keep: Annotated[
        float, typer.Option("--keep", metavar="N", help="Train negatives that stay: a share below 1, or their number.")
    ] = 0.5,
    clusters: Annotated[int, typer.Option("--clusters", metavar="K", help="Of k-means, over the negatives.")] = 10,
    whole: Annotated[
        float,
        typer.Option("--whole", metavar="SHARE", help="How much of what stays may be close clusters, kept whole."),
    ] = 0.5,
    positive: Annotated[
        str | None, typer.Option("--positive", metavar="VALUE", help="Default: the second of two values.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="ATTR", help="The new attribute. Default: ATTR-mined.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option("--depth", metavar="N", help="Blocks that embed an image. Default: all of them.")
    ] = None,
    project: Folder = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Thin out easy negatives, into a new sub-dataset.

    The train negatives are clustered on the trunk's features. Clusters close to
    the positives (earth mover's distance) stay whole, the others are thinned. Val
    and test stay as they are, and so does the source.

    \b
    Examples:
      graftnet data mine bald
      graftnet data mine bald --keep 20000 --clusters 20 --name bald-hard
      graftnet data mine gender --positive other
    """
    from graftnet.devices import choose_device
    from graftnet.mining import MiningChoices, mine_attribute, mining_lines
    from graftnet.progress import show_progress
    from graftnet.project import open_project
    from graftnet.settings import seed_or

    home = open_project(project)
    choices = MiningChoices(keep, clusters, whole, positive, name, depth)
    with show_progress() as progress:
        mined = mine_attribute(
            home, attribute, choices, seed=seed_or(seed, home), device=choose_device(device), progress=progress
        )
    answer({**mined.record, "report": mined.report}, "\n".join(mining_lines(mined)), as_json=as_json)
