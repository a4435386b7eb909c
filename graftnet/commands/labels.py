"""Tables of labels: `graftnet data labels`, `relations` and `table`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graftnet.commands.options import Folder, Json, Rehash, Replace
from graftnet.terminal.output import answer

if TYPE_CHECKING:
    from subdatasets.labels.table import LabelTable

tables = typer.Typer()

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the table here, as a CSV of 1, 0 and blank."),
]


@tables.command("labels")
def labels(
    attributes: Annotated[list[str] | None, typer.Argument(metavar="ATTR...", help="Default: all of them.")] = None,
    output: Output = None,
    replace: Replace = False,
    rehash: Rehash = False,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Join the sub-datasets into one table of labels.

    Images are one row each by their content, whatever their files are called. An
    attribute of two values is one label, one of more values a label per value.
    What the label graph counts from.

    \b
    Examples:
      graftnet data labels
      graftnet data labels bald hat --output labels.csv
    """
    from graftnet.data.imports import project_table
    from graftnet.project.folder import open_project
    from graftnet.terminal.output import show_progress

    home = open_project(project)
    if rehash:
        home.memory.forget()
    with show_progress() as progress:
        table = project_table(home, attributes or (), progress=progress)
    _say(table, output, replace=replace, as_json=as_json)


@tables.command("relations")
def relations(project: Folder = None, as_json: Json = False) -> None:
    """Say which labels exclude or imply one another, and suggest more.

    Those of \\[\\[relations]] in graftnet.toml with how many images break each;
    and those that the labels keep where chance would not, ready to be pasted.

    \b
    Examples:
      graftnet data relations
      graftnet data relations --json
    """
    from graftnet.data.relations import relations_call
    from graftnet.project.folder import open_project
    from graftnet.terminal.output import show_progress

    home = open_project(project)
    with show_progress() as progress:
        outcome = relations_call(home, progress=progress)
    answer(*outcome, as_json=as_json)


@tables.command("table")
def table(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[SPLIT=]SOURCE...", help="A VOC folder; or instances_*.json files; or lists of images."
        ),
    ],
    images: Annotated[
        list[str] | None,
        typer.Option("--images", metavar="[SPLIT=]DIR", help="Where the images are; may be repeated, one per split."),
    ] = None,
    index: Annotated[
        Path | None, typer.Option("--index", metavar="JSON", help="With lists: the label numbers of each image.")
    ] = None,
    names: Annotated[
        Path | None, typer.Option("--names", metavar="FILE", help="With lists: the labels' names, one per line.")
    ] = None,
    output: Output = None,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Read labels of VOC's, COCO's or VG-500's form, for data import.

    What VOC marks as difficult alone is unknown, and blank in the table.

    \b
    Examples:
      graftnet data table VOCdevkit/VOC2007 --output voc.csv
      graftnet data table instances_val2017.json --images val2017 -o coco.csv
      graftnet data table train=a.json val=b.json --images train=a --images val=b
      graftnet data table train=train_list_500.txt test=test_list_500.txt \\
        --index labels_index.json --images VG_100K --output vg.csv
      graftnet data import voc.csv
    """
    from subdatasets.labels.read import foreign_table

    _say(foreign_table(sources, images or (), index, names), output, replace=replace, as_json=as_json)


def _say(labels_table: "LabelTable", output: Path | None, *, replace: bool, as_json: bool) -> None:
    from graftnet.data.imports import table_lines
    from subdatasets.labels.read import table_record, write_label_csv

    written = []
    if output is not None:
        kept = write_label_csv(labels_table, output, replace=replace)
        written = [f"written to {output}", *([f"kept: {kept}"] if kept else [])]
    record = {**table_record(labels_table), "file": output}
    answer(record, "\n".join([*table_lines(labels_table), *written]), as_json=as_json)
