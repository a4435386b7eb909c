"""Read a label table in whatever form it comes: VOC's folder, COCO's JSON, VG-500's lists; and count what it holds."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foundation.files import write_new
from subdatasets.errors import DataError
from subdatasets.importing.tables import read_columns
from subdatasets.importing.write import without_strays
from subdatasets.labels.coco import read_coco, read_label_lists
from subdatasets.labels.table import ABSENT, PRESENT, UNKNOWN, LabelTable, States, column_states, stacked
from subdatasets.labels.voc import read_voc_annotations, read_voc_lists
from subdatasets.reading.problems import SPLIT_NAMES
from subdatasets.reading.tables import Locations

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
    table = read_columns(csv_path, images, columns=columns, encoding=encoding)
    labels: list[str] = []
    states: list[States] = []
    notes = [f"left out: {each.column} {each.reason}" for each in table.skipped] + table.notes
    for labelled in table.attributes:
        column, told = without_strays(labelled)
        notes += told
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
        tuple(table.images.paths),
        tuple(labels),
        np.concatenate(states, axis=1),
        tuple(table.images.splits),
        tuple(notes),
    )


def write_label_csv(table: LabelTable, csv_path: Path, *, replace: bool = False) -> Path | None:
    """Write `path[,split],<labels>`, all at once; `read_label_csv` gives the same images, labels and states back.

    (A label that is unknown everywhere is left out when it is read.)

    Returns:
        Where a file that was there is kept, if it was to be replaced.

    Raises:
        DataError: another file is there, nothing can be written there, or an image's name is not valid text.
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
    return write_new(csv_path, data, replace=replace, error=DataError)


_VOC_PARTS = ("train", "val", "trainval", "test")


def foreign_table(
    sources: Sequence[str], images: Sequence[str], index: Path | None = None, names: Path | None = None
) -> LabelTable:
    """A VOC folder, COCO's JSON files or VG-500's lists as one table.

    Args:
        sources: one folder; or files, each `PATH` or `SPLIT=PATH`.
        images: the images' folder, `PATH` for all files, or `SPLIT=PATH` for those of one split.
        index: with lists: the JSON of the labels of each image.
        names: with lists: the labels' names.

    Raises:
        DataError: sources that do not go together, or files that cannot be read.
    """
    parts = [split_and_path(source) for source in sources]
    if any(path.is_dir() for _, path in parts):
        if len(parts) > 1:
            raise DataError("a VOC folder is read alone; give one folder, or several files.")
        return _voc(parts[0][1])
    folders = dict(split_and_path(folder) for folder in images)
    tables = []
    for split, path in parts:
        folder = folders.get(split) or folders.get("")
        if folder is None:
            raise DataError(f"there is no folder for the images of {path}; name it with --images.")
        if path.suffix.casefold() == ".json":
            tables.append(read_coco(path, folder.absolute(), split=split))
        elif index is None:
            raise DataError(f"{path} is a list of images; name the JSON of their labels with --index.")
        else:
            tables.append(read_label_lists(path, index, folder.absolute(), names=names, split=split))
    return stacked(tables)


def split_and_path(text: str) -> tuple[str, Path]:
    """`train=FILE` as ("train", FILE), `FILE` as ("", FILE).

    Raises:
        DataError: what stands before the equals sign is no split, and there is no such file.
    """
    split, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        return "", Path(text)
    if split.casefold() not in SPLIT_NAMES:
        raise DataError(f"there is no split '{split}' (in '{text}'); write train=PATH, val=PATH or test=PATH.")
    return SPLIT_NAMES[split.casefold()], Path(path)


def _voc(folder: Path) -> LabelTable:
    """From the class lists where there are any, else from the annotations; trainval only where its parts are not."""
    main = folder / "ImageSets" / "Main"
    parts = [part for part in _VOC_PARTS if any(main.glob(f"[!.]*_{part}.txt"))]
    if not parts:
        return read_voc_annotations(folder.absolute())
    if "train" in parts:
        parts = [part for part in parts if part != "trainval"]
    return read_voc_lists(folder.absolute(), parts)


def table_record(table: LabelTable) -> dict[str, Any]:
    """What a table holds, as plain values."""
    known = (table.states != UNKNOWN).sum(axis=1)
    return {
        "images": len(table),
        "labels": table.counts(),
        "splits": {split: table.splits.count(split) for split in ("train", "val", "test", "") if split in table.splits},
        "images_with_several_known": int((known > 1).sum()),
        "labels_per_image": float((table.states == PRESENT).sum(axis=1).mean()) if len(table) else 0.0,
        "pairs_never_known_together": _pairs_apart(table),
        "notes": list(table.notes),
    }


def _pairs_apart(table: LabelTable) -> int:
    known = (table.states != UNKNOWN).astype(np.float32)
    return int((np.triu(known.T @ known == 0, k=1)).sum())
