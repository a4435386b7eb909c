"""The two forms of a sub-dataset on disk: folders of images by value, or a CSV with one image per row.

Folders: `<split>/<value>/<images>` (torchvision's ImageFolder) or `<value>/<images>`.
CSV: `path,label[,split][,group]`.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from subdatasets.attribute import is_unknown
from subdatasets.errors import DataError
from subdatasets.image_files import SUFFIXES, is_image_file
from subdatasets.reading.problems import SPLIT_NAMES, Reading, Row
from subdatasets.reading.tables import Locations, Table, TableRow, read_table

# Files that systems leave behind; they are no one's mistake.
_LITTER = ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "picasa.ini")
# Folders of systems, and of small copies; what lies in them is no example, and their name no value.
_SYSTEM_FOLDERS: tuple[str, ...] = (
    "__macosx",
    "@eadir",
    "$recycle.bin",
    "recycler",
    "#recycle",
    "@recycle",
    "#snapshot",
    "lost+found",
)
_SYSTEM_FOLDERS += ("system volume information", "__pycache__")
_THUMBNAIL_FOLDERS = ("thumbs", "thumb", "thumbnails", "thumbnail", "_thumbs", "_thumbnails", "previews")


def read_folder_rows(source: Path) -> Reading:
    """Read every image below a value folder, in sorted order, and record what lies elsewhere or is no image.

    Sub-folders of a value folder belong to it; symbolic links are followed, each folder once; names that begin with a
    dot, folders of systems (`__MACOSX`, `@eaDir`) and of thumbnails are passed over. What is passed over is counted.
    Splits may also be called training, valid, validation, testing.
    """
    reading = Reading(source.name, source)
    folders = _folders(source)
    splits = [folder for folder in folders if folder.name.casefold() in SPLIT_NAMES and _folders(folder)]
    if not splits:
        if folders and all(folder.name.casefold() in SPLIT_NAMES for folder in folders):
            reading.error("its split folders hold no value folders (sort the images into <split>/<value>/)")
        else:
            _read_values(reading, source, "")
        return reading
    _warn_of_loose_images(reading, source)
    seen: dict[str, Path] = {}
    for folder in folders:
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
    for value in _folders(folder, reading):
        label = value.name.strip()
        reading.values.add(label)
        others: list[Path] = []
        for path in _files(value, reading):
            if is_image_file(path):
                reading.rows.append(Row(path, label, split, None, None))
            elif path.name.lower() not in _LITTER:
                others.append(path)
                reading.pass_over(1, f"files that are no image to be read ({path.suffix.lower() or 'no ending'})")
        if others:
            reading.warning(_many(others, "file", "no image in them that can be read: left out"), file=value)


def _warn_of_loose_images(reading: Reading, folder: Path) -> None:
    with os.scandir(folder) as entries:
        visible = (Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_file())
        loose = sorted(path for path in visible if path.suffix.lower() in SUFFIXES)
    if loose:
        reading.pass_over(len(loose), "images in no value folder, so without a label")
        reading.warning(_many(loose, "image", "no value folder, so no label: left out"), file=folder)


def _many(paths: list[Path], noun: str, reason: str) -> str:
    names = ", ".join(f"'{path.name}'" for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    return f"{len(paths)} {noun}{'' if len(paths) == 1 else 's'} with {reason} ({names})"


def _folders(folder: Path, reading: Reading | None = None) -> list[Path]:
    """The visible folders in a folder that may be values or splits, sorted by name; `reading` hears of the others."""
    with os.scandir(folder) as entries:
        found = sorted(Path(entry.path) for entry in entries if entry.is_dir())
    return [path for path in found if not _set_apart(path, reading, thumbnails=False)]


def _files(folder: Path, reading: Reading) -> Iterator[Path]:
    """The visible files below a folder, sorted by name in each; links to a folder already entered are not followed."""
    entered: set[str] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not _set_apart(Path(root, name), reading, thumbnails=True))
        for name in sorted(files):
            path = Path(root, name)
            if not name.startswith("."):
                yield path
            elif path.suffix.lower() in SUFFIXES and not name.startswith(
                "._"
            ):  # "._x.jpg" is no copy but macOS's notes
                reading.pass_over(1, "hidden images, whose names begin with a dot")


def _set_apart(folder: Path, reading: Reading | None, *, thumbnails: bool) -> bool:
    """Whether a folder is hidden, a system's or, inside a value, one of thumbnails; its images are counted."""
    name = folder.name.casefold()
    if name.startswith("."):
        reason = f"in the hidden folder '{folder.name}'"
    elif name in _SYSTEM_FOLDERS:
        reason = f"in the system's folder '{folder.name}'"
    elif thumbnails and name in _THUMBNAIL_FOLDERS:
        reason = f"in the folder of thumbnails '{folder.name}'"
    else:
        return False
    if reading is not None:
        images = sum(
            Path(file).suffix.lower() in SUFFIXES and not file.startswith("._")
            for _, _, files in os.walk(folder)
            for file in files
        )
        if images:
            reading.pass_over(images, f"images {reason}")
            reading.warning(f"{images} image{'' if images == 1 else 's'} {reason}: left out", file=folder)
    return True


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
