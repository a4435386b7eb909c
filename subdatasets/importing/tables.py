"""Import a table with many attribute columns: one sub-dataset per column, all sharing the image files."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from subdatasets.attribute import UNKNOWN, is_unknown, spellings
from subdatasets.errors import DataError
from subdatasets.importing.write import ImageList, ImportSummary, LabelColumn, SkippedColumn, write_attributes
from subdatasets.reading.forms import PATH_COLUMNS, cell, group_of, ragged, required_column, unknown_split
from subdatasets.reading.problems import SPLIT_NAMES, Problem, refusal
from subdatasets.reading.tables import Locations, Table, TableRow, read_table
from subdatasets.splits import FRACTIONS

MAX_VALUES = 20
# Columns that describe the file, not what it shows.
_ABOUT_THE_FILE = ("width", "height", "size", "id", "index", "url", "md5", "sha256")
_DECIMAL = re.compile(r"[+-]?[0-9]*\.[0-9]*[1-9][0-9]*([eE][+-]?[0-9]+)?")


def import_table(
    csv_path: Path,
    images: Path | None,
    destination: Path,
    *,
    columns: Sequence[str] | None = None,
    file_column: str | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    unknown: Sequence[str] = UNKNOWN,
    encoding: str | None = None,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    replace: bool = False,
) -> ImportSummary:
    """Turn every attribute column of a table into `destination/<attribute>.csv`; images stay where they are.

    Cells hold 0/1 or value names; blank is unknown, and the image is then no part of that sub-dataset. The image is
    named by a column `path`, `file`, `image`, `filename` or the like, absolute or relative to `images` (or to the
    table's folder). Columns `split` and `group` are used where there are any; otherwise splits are made, one per image
    for all attributes. Where the user names no `columns`, those that are plainly no attribute are skipped: more than 20
    values, decimal numbers, a different value in every row, or a title such as `width` or `id`.

    Args:
        csv_path: the table.
        images: the folder that relative image paths count from; None: the table's folder.
        destination: the folder to write to.
        columns: the attribute columns, by title (case does not matter); None: all that can be attributes.
        file_column: the title of the image column, if it is not one of the usual names.
        split_column: the title of the split column, if it is not `split`.
        group_column: the title of the group column (person, camera, scene), if it is not `group`.
        unknown: cells that mean "not known".
        encoding: the table's encoding, if it is neither UTF-8 nor UTF-16.
        seed: decides over splits that are not given.
        fractions: the shares of train, val and test where splits are not given.
        replace: overwrite sub-datasets of the same name.

    Raises:
        DataError: an unreadable table, rows without image, contradicting rows (each with its line), a column named
            and not usable, no usable column at all, or files in the way.
    """
    attributes, image_list, skipped = read_columns(
        csv_path,
        images,
        columns=columns,
        file_column=file_column,
        split_column=split_column,
        group_column=group_column,
        unknown=unknown,
        encoding=encoding,
    )
    return write_attributes(
        attributes,
        image_list,
        Path(destination),
        where=str(Path(csv_path).absolute()),
        fractions=fractions,
        seed=seed,
        replace=replace,
        skipped=skipped,
    )


def read_columns(
    csv_path: Path,
    images: Path | None,
    *,
    columns: Sequence[str] | None = None,
    file_column: str | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    unknown: Sequence[str] = UNKNOWN,
    encoding: str | None = None,
) -> tuple[list[LabelColumn], ImageList, list[SkippedColumn]]:
    """A table's attribute columns, its images, and the columns that are no attribute; arguments as `import_table`'s.

    Raises:
        DataError: an unreadable table, rows without image, contradicting rows, or a column named that is not there.
    """
    csv_path = Path(csv_path).absolute()
    if images is not None and not Path(images).is_dir():
        raise DataError(f"there is no image folder {Path(images).absolute()}: check the path")
    table = read_table(csv_path, encoding=encoding)
    special = {
        "file": required_column(table, file_column or "path", PATH_COLUMNS if file_column is None else (file_column,)),
        "split": _optional_column(table, split_column, "split"),
        "group": _optional_column(table, group_column, "group"),
    }
    if special["split"] is not None and not any(cell(row.cells, special["split"]) for row in table.rows):
        special["split"] = None
    rows, image_list = _images(table, special, [Path(images)] if images is not None else [])
    attributes, skipped = _attribute_columns(table, rows, set(special.values()), columns, unknown)
    return attributes, image_list, skipped


def _optional_column(table: Table, title: str | None, usual: str) -> int | None:
    return table.column(usual) if title is None else required_column(table, title, (title,))


def _images(
    table: Table, special: dict[str, int | None], folders: list[Path]
) -> tuple[list[tuple[str, ...]], ImageList]:
    """The rows that remain (exact repeats go) and the image of each; all wrong rows are refused together."""
    locations = [Locations(folder) for folder in [*folders, table.path.parent]]
    problems: list[Problem] = []
    first: dict[Path, TableRow] = {}
    kept: list[tuple[str, ...]] = []
    images = ImageList([], [], [])
    for row in table.rows:
        path, split, wrong = _image_of(row, table, special, locations)
        if wrong is None and path is not None:
            other = first.setdefault(path, row)
            if other is row:
                kept.append(row.cells)
                images.paths.append(path)
                images.splits.append(split)
                images.groups.append(group_of(row.cells, special["group"]))
            elif other.cells != row.cells:
                wrong = f"'{path.name}' differs here from line {other.line} (keep one row for each image)"
        if wrong is not None:
            problems.append(Problem("error", table.path, row.line, wrong))
    if problems:
        raise refusal(table.path, problems)
    if not kept:
        raise DataError(f"{table.path} has a header and no rows: add one row per image")
    return kept, images


def _image_of(
    row: TableRow, table: Table, special: dict[str, int | None], locations: list[Locations]
) -> tuple[Path | None, str, str | None]:
    """Path, split ("" where the table has none), and what is wrong with the row."""
    wrong = ragged(row, table)
    if wrong is not None:
        return None, "", wrong
    name = cell(row.cells, special["file"])
    if not name:
        return None, "", "the path is empty (name an image, or delete the row)"
    path = next(filter(None, (location.existing(name) for location in locations)), None)
    if path is None:
        return None, "", f"there is no image '{name}' in {locations[0].folder} (correct or delete the row)"
    if special["split"] is None:
        return path, "", None
    given = cell(row.cells, special["split"])
    split = SPLIT_NAMES.get(given.casefold())
    return path, split or "", None if split else unknown_split(given)


def _attribute_columns(
    table: Table,
    rows: list[tuple[str, ...]],
    taken: set[int | None],
    columns: Sequence[str] | None,
    unknown: Sequence[str],
) -> tuple[list[LabelColumn], list[SkippedColumn]]:
    if columns is None:
        positions = [position for position in range(len(table.header)) if position not in taken]
    else:
        positions = list(dict.fromkeys(required_column(table, title, (title,)) for title in columns))
    attributes: list[LabelColumn] = []
    skipped: list[SkippedColumn] = []
    for position in positions:
        title = table.header[position]
        cells = [row[position] for row in rows]
        markers = {text for text in set(cells) if is_unknown(text, unknown)}
        if not title:
            if markers != set(cells):
                skipped.append(SkippedColumn(f"column {position + 1}", "has no title in the header"))
            continue
        column = LabelColumn(title, [None if text in markers else text for text in cells], columns is not None)
        reason = None if columns is not None else _no_attribute(column)
        if reason is None:
            attributes.append(column)
        else:
            skipped.append(SkippedColumn(title, reason))
    return attributes, skipped


def _no_attribute(column: LabelColumn) -> str | None:
    """Why a column that nobody named is plainly no attribute, or None."""
    counts = Counter(label for label in column.labels if label is not None)
    distinct = len(set(spellings(counts).values()))
    if not counts:
        return "is blank in every row"
    if column.title.casefold() in _ABOUT_THE_FILE:
        return "describes the file (name the column to import it all the same)"
    if distinct > MAX_VALUES:
        return f"holds {distinct} different values, more than {MAX_VALUES} (name the column to import it all the same)"
    decimal = next((label for label in counts if _DECIMAL.fullmatch(label)), None)
    if decimal is not None:
        return f"holds decimal numbers such as {decimal} (name the column to import it all the same)"
    if distinct > 2 and distinct == counts.total():
        return "holds a different value in every row"
    return None
