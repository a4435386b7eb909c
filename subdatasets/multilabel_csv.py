"""A label table as a CSV: a column for the image, one for the split where wanted, one per label (1, 0, blank)."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from foundation.files import write_bytes
from subdatasets.errors import DataError
from subdatasets.multilabel import ABSENT, PRESENT, UNKNOWN, LabelTable, States, column_states
from subdatasets.table_importer import read_columns
from subdatasets.tables import Locations

_CELLS = {PRESENT: "1", ABSENT: "0", UNKNOWN: ""}


def read_label_csv(
    csv_path: Path, images: Path | None = None, *, columns: Sequence[str] | None = None, encoding: str | None = None
) -> LabelTable:
    """Read the kind of table that `import_table` reads, as one table of labels.

    A column of 0/1 (or no/yes, ...) is a label, blank is unknown; one with more values becomes a label per value,
    "title=value". Columns that are plainly no label are left out, with a note.

    Args:
        csv_path: the table.
        images: the folder that relative image paths count from; None: the table's folder.
        columns: the labels' columns, by title; None: all that can be.
        encoding: the table's encoding, if it is neither UTF-8 nor UTF-16.

    Raises:
        DataError: an unreadable table, rows without image, a named column that is no label, or no label at all.
    """
    csv_path = Path(csv_path).absolute()
    labelled, image_list, skipped = read_columns(csv_path, images, columns=columns, encoding=encoding)
    labels: list[str] = []
    states: list[States] = []
    notes = [f"left out: {each.column} {each.reason}" for each in skipped]
    for column in labelled:
        result = column_states(column)
        if not isinstance(result, str):
            labels.extend(result[0])
            states.append(result[1])
        elif column.required:
            raise DataError(f"{csv_path}: '{column.title}' {result}: correct its labels, or do not name it")
        else:
            notes.append(f"left out: {column.title} {result}")
    if not labels:
        raise DataError(f"{csv_path}: no column holds labels: give one column per label, with 1, 0 or blank")
    return LabelTable(
        tuple(image_list.paths), tuple(labels), np.concatenate(states, axis=1), tuple(image_list.splits), tuple(notes)
    )


def write_label_csv(table: LabelTable, csv_path: Path) -> None:
    """Write `path[,split],<labels>`, all at once; `read_label_csv` gives the same images, labels and states back.

    (A label that is unknown everywhere is left out when it is read.)

    Raises:
        DataError: nothing can be written there, or an image's name is not valid text.
    """
    locations = Locations(csv_path.absolute().parent)
    split = any(table.splits)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", *(["split"] if split else []), *table.labels])
    for image, part, row in zip(table.images, table.splits, table.states.tolist(), strict=True):
        writer.writerow([locations.cell(image), *([part] if split else []), *(_CELLS[state] for state in row)])
    try:
        data = text.getvalue().encode("utf-8")
    except UnicodeEncodeError as error:
        name = error.object[max(0, error.start - 40) : error.end + 20]
        raise DataError(f"an image's name near {name!r} is not valid text: rename the file") from error
    write_bytes(csv_path, data, error=DataError)
