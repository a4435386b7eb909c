"""The photos that persons are cut out of: a folder of images, or a table with a row per photo and its labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from subdatasets.csv_rows import PATH_COLUMNS, cell, group_of, ragged, required_column
from subdatasets.errors import DataError
from subdatasets.folder_rows import SUFFIXES
from subdatasets.locations import Locations
from subdatasets.problems import Problem, refusal
from subdatasets.tables import read_table

OWN_COLUMNS = ("split", "group")


class Photo(NamedTuple):
    """An image file, {column: cell} of its labels ("" where unknown), its split ("" where none is given), its group."""

    path: Path
    labels: dict[str, str]
    split: str = ""
    group: str | None = None


def read_photos(source: Path, *, images: Path | None = None, columns: Sequence[str] | None = None) -> list[Photo]:
    """The photos of a folder and all folders in it, or of a table; each once.

    Args:
        images: the folder that relative paths of a table count from; None: the table's.
        columns: the columns of labels to keep; None: all but those of the path, the split and the group.

    Raises:
        DataError: no image, a table that cannot be read, a row without its image, a photo twice, an unknown column.
    """
    if source.is_dir():
        files = sorted(path for path in source.absolute().rglob("*") if path.suffix.lower() in SUFFIXES)
        if not files:
            raise DataError(f"there is no image in {source}: name a folder of {', '.join(sorted(SUFFIXES))}")
        return [Photo(path, {}) for path in files]
    table = read_table(source)
    file_column = required_column(table, "path", PATH_COLUMNS)
    own = {title: table.column(title) for title in OWN_COLUMNS}
    kept = {title: required_column(table, title, (title,)) for title in columns or ()}
    if columns is None:
        taken = {file_column, *own.values()}
        kept = {title: place for place, title in enumerate(table.header) if title and place not in taken}
    locations = Locations(images or source.absolute().parent)
    problems: list[Problem] = []
    found: dict[Path, Photo] = {}
    for row in table.rows:
        name = cell(row.cells, file_column)
        path = locations.existing(name) if name else None
        wrong = ragged(row, table)
        if wrong is None and path is None:
            wrong = f"there is no image {name!r} in {locations.folder} (correct or delete the row)"
        elif wrong is None and path in found:
            wrong = f"{name!r} is there twice (keep one row for each image)"
        if wrong is not None or path is None:
            problems.append(Problem("error", source, row.line, str(wrong)))
            continue
        labels = {title: cell(row.cells, place) for title, place in kept.items()}
        found[path] = Photo(path, labels, cell(row.cells, own["split"]), group_of(row.cells, own["group"]))
    if problems:
        raise refusal(source, problems)
    if not found:
        raise DataError(f"{source} has a header and no rows: add one row per photo")
    return list(found.values())
