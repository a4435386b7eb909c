"""graftnet data: sub-datasets in, and what is wrong with them."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Folder, Json, Seed

app = typer.Typer(no_args_is_help=True, help="Sub-datasets: import them, check them.")


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
