"""The two forms of a sub-dataset on disk: folders of images by value, or a CSV with one image per row.

Folders: `<split>/<value>/<images>` (torchvision's ImageFolder) or `<value>/<images>`.
CSV: `path,label[,split][,group]`.
"""

from collections.abc import Sequence
from pathlib import Path

from subdatasets.attribute import is_unknown
from subdatasets.errors import DataError
from subdatasets.reading.problems import SPLIT_NAMES, Reading, Row
from subdatasets.reading.tables import Locations, Table, TableRow, read_table
from subdatasets.reading.walk import folders_in, images_below, loose_images, many


def read_folder_rows(source: Path) -> Reading:
    """Read every image below a value folder, in sorted order, and record what lies elsewhere or is no image.

    Sub-folders of a value folder belong to it; symbolic links are followed, each folder once; names that begin with a
    dot, folders of systems (`__MACOSX`, `@eaDir`) and of thumbnails are passed over. What is passed over is counted.
    Splits may also be called training, valid, validation, testing.
    """
    reading = Reading(source.name, source)
    folders = folders_in(source)
    splits = [folder for folder in folders if folder.name.casefold() in SPLIT_NAMES and folders_in(folder)]
    if not splits:
        if folders and all(folder.name.casefold() in SPLIT_NAMES for folder in folders):
            reading.error("its split folders hold no value folders (sort the images into <split>/<value>/)")
        else:
            _read_values(reading, source, "")
        return reading
    _warn_of_loose_images(reading, source)
    seen: dict[str, Path] = {}
    for folder in folders_in(source, reading):
        split = SPLIT_NAMES.get(folder.name.casefold())
        if split is None:
            reading.error("the folder lies among split folders but names no split (move or rename it)", file=folder)
        elif seen.setdefault(split, folder) != folder:
            message = f"the folder names the same split as '{seen[split].name}' (join the two)"
            reading.error(message, file=folder)
        else:
            _read_values(reading, folder, split)
    return reading


def _read_values(reading: Reading, folder: Path, split: str) -> None:
    _warn_of_loose_images(reading, folder)
    for value in folders_in(folder, reading):
        label = value.name.strip()
        reading.values.add(label)
        reading.rows += (Row(path, label, split, None, None) for path in images_below(value, reading))


def _warn_of_loose_images(reading: Reading, folder: Path) -> None:
    if loose := loose_images(folder, reading):
        reading.pass_over(len(loose), "images in no value folder, so without a label")
        reading.warning(many(loose, "image", "no value folder, so no label: left out"), file=folder)


REPEATED = "repeated rows, counted once"  # a reason to pass over


# Names of the column that holds the image's path, the usual ones first.
PATH_COLUMNS = ("path", "file", "image", "filename", "file_name", "image_path", "file_path", "img", "image_id")


def read_csv_rows(source: Path) -> Reading:
    """Read every row that makes sense and record a problem, with its line, for every one that does not.

    Raises:
        DataError: the file is no table, or lacks a column `path` or `label`.
    """
    table = read_table(source)
    reading = Reading(source.stem, source)
    path_column = required_column(table, "path", PATH_COLUMNS)
    label_column = required_column(table, "label", ("label",))
    split_column, group_column = table.column("split"), table.column("group")
    if split_column is not None and not any(cell(row.cells, split_column) for row in table.rows):
        split_column = None
    locations = Locations(source.parent)
    for row in table.rows:
        problem = ragged(row, table)
        label, name = cell(row.cells, label_column), cell(row.cells, path_column)
        split = "" if split_column is None else SPLIT_NAMES.get(cell(row.cells, split_column).casefold())
        path = locations.existing(name) if name else None
        if problem is not None:
            reading.error(problem, row.line)
        elif not name:
            reading.error("the path is empty (name an image, or delete the row)", row.line)
        elif not label:
            reading.error(f"the label of '{name}' is empty (fill it in, or delete the row)", row.line)
        elif is_unknown(label):
            reading.error(f"the label '{label}' of '{name}' says unknown (fill it in, or delete the row)", row.line)
        elif split is None:
            reading.error(unknown_split(cell(row.cells, split_column)), row.line)
        elif path is None:
            reading.error(missing_image(name, locations.folder, locations.nearly(name)), row.line)
        else:
            reading.rows.append(Row(path, label, split, group_of(row.cells, group_column), row.line))
            reading.values.add(label)
    return reading


def missing_image(name: str, folder: Path, near: tuple[str, str] | None) -> str:
    """What to say of a path that leads to no image; `near`: a file that is there, and how its name differs."""
    if near is None:
        return f"there is no image '{name}' in {folder} (correct or delete the row)"
    other, how = near
    return (
        f"there is no image '{name}' in {folder}: a file that differs only in {how} is there, '{other}' (name that one)"
    )


def required_column(table: Table, meaning: str, names: Sequence[str]) -> int:
    """The position of the first of `names` in the header.

    Raises:
        DataError: none of them is there.
    """
    column = table.column(*names)
    if column is None:
        shown = ", ".join(f"'{title}'" for title in table.header[:8])
        raise DataError(
            f"{table.path}, line {table.header_line}: no column is named '{meaning}' (found {shown}): "
            f"name one so in the header"
        )
    return column


def cell(cells: Sequence[str], column: int | None) -> str:
    """The text of a column in a row; "" where the column or the cell is missing."""
    return cells[column] if column is not None and column < len(cells) else ""


def group_of(cells: Sequence[str], column: int | None) -> str | None:
    """The group a row names, or None where it names none; pandas' "nan" for a gap is no group."""
    name = cell(cells, column)
    return None if is_unknown(name) else name


def ragged(row: TableRow, table: Table) -> str | None:
    """What is wrong with the number of cells in a row, or None; blank cells too many do no harm."""
    width = len(table.header)
    if len(row.cells) < width or any(row.cells[width:]):
        return (
            f"the row has {len(row.cells)} cells and the header {width} "
            "(put cells that hold the delimiter in double quotes)"
        )
    return None


def unknown_split(name: str) -> str:
    """What to say of a split cell that names no split."""
    if not name:
        return "the split is empty (write train, val or test, or remove the whole column to have splits made)"
    return f"there is no split '{name}' (write train, val or test)"
