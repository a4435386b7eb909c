"""graftnet data labels and graftnet data table: many labels over the same images, as one CSV."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Folder, Json

if TYPE_CHECKING:
    from subdatasets.multilabel import LabelTable

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the table here, as a CSV of 1, 0 and blank."),
]


def labels(
    attributes: Annotated[list[str] | None, typer.Argument(metavar="ATTR...", help="Default: all of them.")] = None,
    output: Output = None,
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
    from graftnet.label_tables import project_table
    from graftnet.progress import show_progress
    from graftnet.project import open_project

    home = open_project(project)
    with show_progress() as progress:
        table = project_table(home, attributes or (), progress=progress)
    _say(table, output, as_json=as_json)


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
    from graftnet.label_tables import foreign_table

    _say(foreign_table(sources, images or (), index, names), output, as_json=as_json)


def _say(found: "LabelTable", output: Path | None, *, as_json: bool) -> None:
    from graftnet.label_tables import table_lines, table_record
    from subdatasets.multilabel_csv import write_label_csv

    written = []
    if output is not None:
        write_label_csv(found, output)
        written = [f"written to {output}"]
    record = {**table_record(found), "file": output}
    answer(record, "\n".join([*table_lines(found), *written]), as_json=as_json)
