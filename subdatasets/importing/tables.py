"""Import a table with many attribute columns: one sub-dataset per column, all sharing the image files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from foundation.history import Progress
from subdatasets.attribute import is_unknown, spellings
from subdatasets.errors import DataError
from subdatasets.files.memory import FileMemory
from subdatasets.importing.columns import no_attribute, parts, several_labels, split_meaning
from subdatasets.importing.place import ImageList
from subdatasets.importing.write import ImportSummary, LabelColumn, SkippedColumn, write_attributes
from subdatasets.reading.forms import (
    PATH_COLUMNS,
    REPEATED,
    cell,
    group_of,
    missing_image,
    ragged,
    required_column,
    unknown_split,
)
from subdatasets.reading.problems import SPLIT_NAMES, Problem, refusal
from subdatasets.reading.tables import Locations, Table, TableRow, read_table
from subdatasets.splits import FRACTIONS
from subdatasets.words import UNKNOWN

MAX_VALUES = 20


class TableColumns(NamedTuple):
    """What a table holds: its attributes, its images, the columns that are none, notes, and rows passed over."""

    attributes: list[LabelColumn]
    images: ImageList
    skipped: list[SkippedColumn]
    notes: list[str]
    passed_over: dict[str, int]


def import_table(
    csv_path: Path,
    images: Path | None,
    destination: Path,
    *,
    columns: Sequence[str] | None = None,
    leave_out: Sequence[str] = (),
    several: Sequence[str] = (),
    file_column: str | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    unknown: Sequence[str] = UNKNOWN,
    encoding: str | None = None,
    positive: Sequence[str] = (),
    near_copies: bool = False,
    white: int = 0,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    replace: bool = False,
    progress: Progress | None = None,
    memory: FileMemory | None = None,
) -> ImportSummary:
    """Turn every attribute column of a table into `destination/<attribute>.csv`; images stay where they are.

    Cells hold 0/1 or value names; blank is unknown, and the image is then no part of that sub-dataset. The image is
    named by a column `path`, `file`, `image`, `filename` or the like, absolute or relative to `images` (or to the
    table's folder). Columns `split` and `group` are used where there are any, and what says the same under another name
    (`partition`, `is_train`); otherwise splits are made, one per image for all attributes. Where the user names no
    `columns`, those that are plainly no attribute are skipped: more than 20 values, decimal numbers, a different value
    in every row, several labels in a cell, or a title such as `width` or `id`.

    Args:
        csv_path: the table.
        images: the folder that relative image paths count from; None: the table's folder.
        destination: the folder to write to.
        columns: the attribute columns, by title (case does not matter); None: all that can be attributes.
        leave_out: titles of columns that are not looked at.
        several: titles of columns with several labels in a cell; each label becomes an attribute no/yes.
        file_column: the title of the image column, if it is not one of the usual names.
        split_column: the title of the split column, if it is not `split`.
        group_column: the title of the group column (person, camera, scene), if it is not `group`.
        unknown: cells that mean "not known".
        encoding: the table's encoding, if it is neither UTF-8 nor UTF-16.
        positive: the positive value of attributes of two, `VALUE` (of all that have it) or `ATTRIBUTE=VALUE`.
        near_copies: whether near copies of a picture share a split that is made.
        white: of grey pictures of 16 or 32 bits, where it is set; 0: it is not, and doubtful ones are told.
        seed: decides over splits that are not given.
        fractions: the shares of train, val and test where splits are not given.
        replace: put it in the place of sub-datasets of the same name, which are kept under a dated name.
        progress: hears the stage "images" while contents are hashed.
        memory: of files, which need not be read again.

    Raises:
        DataError: an unreadable table, rows without image, contradicting rows (each with its line), a column named
            and not usable, no usable column at all, or files in the way.
    """
    found = read_columns(
        csv_path,
        images,
        columns=columns,
        leave_out=leave_out,
        several=several,
        file_column=file_column,
        split_column=split_column,
        group_column=group_column,
        unknown=unknown,
        encoding=encoding,
    )
    return write_attributes(
        found.attributes,
        found.images,
        Path(destination),
        where=str(Path(csv_path).absolute()),
        fractions=fractions,
        seed=seed,
        replace=replace,
        skipped=found.skipped,
        notes=found.notes,
        passed_over=found.passed_over,
        positive=positive,
        near_copies=near_copies,
        white=white,
        progress=progress,
        memory=memory,
    )


def read_columns(
    csv_path: Path,
    images: Path | None,
    *,
    columns: Sequence[str] | None = None,
    leave_out: Sequence[str] = (),
    several: Sequence[str] = (),
    file_column: str | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    unknown: Sequence[str] = UNKNOWN,
    encoding: str | None = None,
) -> TableColumns:
    """A table's attribute columns, its images, and the columns that are no attribute; arguments as `import_table`'s.

    Raises:
        DataError: an unreadable table, rows without image, contradicting rows, or a column named that is not there.
    """
    csv_path = Path(csv_path).absolute()
    if images is not None and not Path(images).is_dir():
        raise DataError(f"there is no image folder {Path(images).absolute()}: check the path")
    table = read_table(csv_path, encoding=encoding)
    ignored = {required_column(table, title, (title,)) for title in leave_out}
    named = {required_column(table, title, (title,)) for title in [*(columns or ()), *several]}
    file = required_column(table, file_column or "path", PATH_COLUMNS if file_column is None else (file_column,))
    split, meaning, notes = _split_of(table, split_column, ignored | named)
    group = table.column("group") if group_column is None else required_column(table, group_column, (group_column,))
    special = {"file": file, "split": split, "group": group}
    folders = [Path(images)] if images is not None else []
    rows, image_list, passed_over = _images(table, special, folders, meaning)
    taken = {*special.values(), *ignored}
    attributes, skipped = _attribute_columns(table, rows, taken, columns, several, unknown)
    return TableColumns(attributes, image_list, skipped, notes, passed_over)


def _split_of(table: Table, title: str | None, taken: set[int]) -> tuple[int | None, dict[str, str], list[str]]:
    """The column of splits, what its cells mean, and what there is to say of it.

    Raises:
        DataError: a column looks like a split, and nothing tells what it means.
    """
    column = table.column("split") if title is None else required_column(table, title, (title,))
    positions = [column] if column is not None else [each for each in range(len(table.header)) if each not in taken]
    for position in positions:
        cells = [cell(row.cells, position) for row in table.rows]
        if column is not None and not any(cells):
            return None, {}, []
        meaning = split_meaning(table.header[position], cells)
        if isinstance(meaning, dict):
            told = ", ".join(f"'{each}' is {split}" for each, split in meaning.items())
            plain = all(each.casefold() == split for each, split in meaning.items())
            usual = table.header[position].casefold() == "split" and plain
            return position, meaning, [] if usual else [f"the splits are those of '{table.header[position]}': {told}"]
        if isinstance(meaning, str) and column is None:
            raise DataError(
                f"{table.path}: the column '{table.header[position]}' is called like a split, {meaning}: write train, "
                "val or test in it, or leave it out with --except to have splits made"
            )
    return column, SPLIT_NAMES, []


def _images(
    table: Table, special: dict[str, int | None], folders: list[Path], meaning: Mapping[str, str]
) -> tuple[list[tuple[str, ...]], ImageList, dict[str, int]]:
    """The rows that remain (exact repeats go, and are counted) and their images; wrong rows are refused together."""
    locations = [Locations(folder) for folder in [*folders, table.path.parent]]
    problems: list[Problem] = []
    first: dict[Path, TableRow] = {}
    kept: list[tuple[str, ...]] = []
    images = ImageList([], [], [])
    repeated = 0
    for row in table.rows:
        path, split, wrong = _image_of(row, table, special, locations, meaning)
        if wrong is None and path is not None:
            other = first.setdefault(path, row)
            if other is row:
                kept.append(row.cells)
                images.paths.append(path)
                images.splits.append(split)
                images.groups.append(group_of(row.cells, special["group"]))
            elif other.cells != row.cells:
                wrong = f"'{path.name}' differs here from line {other.line} (keep one row for each image)"
            else:
                repeated += 1
        if wrong is not None:
            problems.append(Problem("error", table.path, row.line, wrong))
    if problems:
        raise refusal(table.path, problems)
    if not kept:
        raise DataError(f"{table.path} has a header and no rows: add one row per image")
    return kept, images, {REPEATED: repeated} if repeated else {}


def _image_of(
    row: TableRow,
    table: Table,
    special: dict[str, int | None],
    locations: list[Locations],
    meaning: Mapping[str, str],
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
        near = next(filter(None, (location.nearly(name) for location in locations)), None)
        return None, "", missing_image(name, locations[0].folder, near)
    if special["split"] is None:
        return path, "", None
    given = cell(row.cells, special["split"])
    split = meaning.get(given) or meaning.get(given.casefold())
    return path, split or "", None if split else unknown_split(given)


def _attribute_columns(
    table: Table,
    rows: list[tuple[str, ...]],
    taken: set[int | None],
    columns: Sequence[str] | None,
    several: Sequence[str],
    unknown: Sequence[str],
) -> tuple[list[LabelColumn], list[SkippedColumn]]:
    divided = {required_column(table, title, (title,)) for title in several}
    if columns is None:
        positions = [position for position in range(len(table.header)) if position not in taken]
    else:
        named = [required_column(table, title, (title,)) for title in columns]
        positions = [each for each in dict.fromkeys([*named, *sorted(divided)]) if each not in taken or each in named]
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
        counts = Counter(label for label in column.labels if label is not None)
        distinct = len(set(spellings(counts).values()))
        reason = None if columns is not None else no_attribute(title, counts, distinct, most=MAX_VALUES)
        if position in divided:
            attributes += _divided(column, counts, str(table.path))
        elif reason is None:
            attributes.append(column)
        else:
            skipped.append(SkippedColumn(title, reason))
    return attributes, skipped


def _divided(column: LabelColumn, counts: Mapping[str, int], where: str) -> list[LabelColumn]:
    """An attribute no/yes for each label of a column with several in a cell; a blank cell says nothing of any."""
    found = several_labels(counts)
    if found is None:
        raise DataError(f"{where}: no cell of '{column.title}' holds several labels with ; | or , between them")
    held = [None if label is None else parts(label, found[1]) for label in column.labels]
    labels = list(dict.fromkeys(part for row in held if row is not None for part in row))
    return [
        LabelColumn(f"{column.title} {label}", [None if row is None else ("no", "yes")[label in row] for row in held])
        for label in labels
    ]
