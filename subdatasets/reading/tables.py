"""A delimited text file as header and rows, each row with the line it begins on; and how image paths stand in it.

pandas is not used here: it knows no line numbers, and a quoted cell may span several lines. Paths are short and movable
where possible, absolute where not.
"""

import codecs
import csv
import io
import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from subdatasets.errors import DataError
from subdatasets.files.remote import url_of
from subdatasets.files.store import exists

# Characters that nobody sees, which copying from web pages and documents leaves around a cell.
_NO_SIGHT = " \t\r\n\u00a0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
DELIMITERS = (",", ";", "\t", "|")
PARQUET = ".parquet"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One record: the line it begins on (the header's is usually 1) and its cells, without surrounding spaces."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A header, the line it stands on, and the rows that hold anything at all."""

    path: Path
    header: tuple[str, ...]
    header_line: int
    rows: tuple[TableRow, ...]

    def column(self, *names: str) -> int | None:
        """The position of the first of `names` that the header holds, without regard to case; None if none is there."""
        folded = [title.casefold() for title in self.header]
        return next((folded.index(name.casefold()) for name in names if name.casefold() in folded), None)


def trimmed(cell: str) -> str:
    """A cell without what surrounds it unseen."""
    return cell.strip(_NO_SIGHT).strip()


def read_table(path: Path, *, encoding: str | None = None) -> Table:
    """Read a table separated by comma, semicolon, tab or bar (whichever divides the header into most columns).

    UTF-8 with or without byte-order mark, UTF-16 with one, or the `encoding` named; any line ending. Blank lines are
    passed over. A Parquet file is known by its ending; its rows count from line 1, and a gap is a blank cell. Rows may
    be shorter or longer than the header: what that means is the caller's to say.

    Raises:
        DataError: no such file, not text, an empty file, an open quote, or two columns of one name.
    """
    if path.suffix.casefold() == PARQUET and path.is_file():
        return _read_parquet(path)
    text = _decode(path, encoding)
    lines = io.StringIO(text, newline="")
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise DataError(f"{path} is empty: begin it with a line that names its columns")
    lines.seek(0)
    begin = 1
    # What Excel writes, and reads, as a first line to say what separates the cells.
    told = re.fullmatch(r'"?sep=([^\w\s"]|\t)"?[;,\t|]*\s*', first, re.IGNORECASE)
    if told:
        while lines.readline() != first:
            begin += 1
        begin += 1
        first = ""
    delimiter = told[1] if told else delimiter_of(first)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    skipped = begin - 1
    records: list[TableRow] = []
    try:
        for cells in reader:
            stripped = tuple(map(trimmed, cells))
            if any(stripped):
                records.append(TableRow(begin, stripped))
            begin = skipped + reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {begin}: the row that begins here cannot be read ({error}): correct its quotes"
        ) from error
    if not records:
        raise DataError(f"{path}, line 1: the header names no column: begin with a line that names the columns")
    header = records[0].cells
    named = [title.casefold() for title in header if title]
    twice = next((title for title in header if title and named.count(title.casefold()) > 1), None)
    if twice is not None:
        raise DataError(f"{path}, line {records[0].line}: the column '{twice}' occurs twice: rename one of the two")
    return Table(path, header, records[0].line, tuple(records[1:]))


def _read_parquet(path: Path) -> Table:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} is no Parquet file that can be read ({error}): write it anew, or as CSV") from error
    columns = [["" if cell is None else trimmed(str(cell)) for cell in column.to_pylist()] for column in table.columns]
    header = tuple(trimmed(title) for title in table.column_names)
    twice = next((title for title in header if title and header.count(title) > 1), None)
    if twice is not None or not header:
        what = f"the column '{twice}' occurs twice: rename one of the two" if header else "it has no columns"
        raise DataError(f"{path}: {what}")
    rows = (TableRow(line, cells) for line, cells in enumerate(zip(*columns, strict=True), start=1))
    return Table(path, header, 0, tuple(row for row in rows if any(row.cells)))


def _decode(path: Path, encoding: str | None) -> str:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise DataError(f"{path} is no file: save the table as a CSV file")  # a pipe would be waited for
        data = path.read_bytes()
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder: name a CSV file") from error
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}: check the path") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    if encoding is None:
        utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = "utf-16" if utf16 else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except LookupError as error:
        raise DataError(f"there is no encoding '{encoding}': use for example 'cp1252' or 'gb18030'") from error
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = data.count(b"\n", 0, start) + 1
        raise DataError(
            f"{path}, line {line}: the text is not {encoding.removesuffix('-sig').upper()}: save the table as "
            "'CSV UTF-8', or import it with `graftnet data import --encoding NAME`"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}, line {line}: the file is not a text table: save it as CSV")
    return text.removeprefix("\ufeff")


def delimiter_of(header: str) -> str:
    """The delimiter that divides a header into most columns."""

    def columns(delimiter: str) -> int:
        return len(next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), []))

    return max(DELIMITERS, key=columns)


class Locations:
    """Translates between the cells of a CSV in `folder` and absolute paths; `cell` and `path` undo each other.

    A path inside the folder is written relative to it; one beside it (inside the folder's parent) with a leading
    `../`, so that a project can be moved as a whole; any other absolute. The step to the parent is textual, so it is
    taken only where the folder is no symbolic link (the operating system would step to the link target's parent).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        parent = self.folder.parent
        direct = os.path.realpath(self.folder) == os.path.join(os.path.realpath(parent), self.folder.name)
        movable = direct and ".." not in self.folder.parts and parent != parent.parent
        self._parent = parent if movable else None
        self._listed: dict[Path, dict[tuple[str, str], str]] = {}
        self.beside = self._parent
        self._inside = f"{self.folder.as_posix()}/"
        self._beside = f"{parent.as_posix()}/" if movable else None

    def cell(self, path: Path) -> str:
        """The cell that stands for `path`, with forward slashes."""
        return url_of(str(path)) or self.cell_of(path.absolute().as_posix())

    def cell_of(self, text: str) -> str:
        """As `cell`, of an absolute path that is written with forward slashes."""
        url = url_of(text)
        if url is not None:
            return url
        if text.startswith(self._inside):
            return text[len(self._inside) :]
        if self._beside is not None and text.startswith(self._beside):
            return f"../{text[len(self._beside) :]}"
        return text

    def path(self, cell: str) -> Path:
        """The absolute path `cell` stands for; relative cells count from the folder."""
        if "://" in cell and url_of(cell) is not None:
            return Path(cell)
        if self._parent is not None and cell.startswith("../") and not cell.startswith("../.."):
            return self._parent / cell[3:]
        return self.folder / cell

    def nearly(self, cell: str) -> tuple[str, str] | None:
        """A file beside the one that a cell names and how its name differs: Unicode form, case or ending; else None."""
        wanted = self.path(cell.replace("\\", "/"))
        names = self._names(_folder_like(wanted.parent))
        for difference, same in _LIKENESSES:
            found = names.get((difference, same(wanted.name)))
            if found is not None:
                return found, difference
        return None

    def _names(self, folder: Path) -> dict[tuple[str, str], str]:
        if folder not in self._listed:
            try:
                names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
            except OSError:
                names = []
            keyed = {(difference, same(name)): name for difference, same in _LIKENESSES for name in reversed(names)}
            self._listed[folder] = keyed
        return self._listed[folder]

    def existing(self, cell: str) -> Path | None:
        """The path of the file `cell` stands for, or None where there is none; backslashes are tried as slashes."""
        path = self.path(cell)
        if exists(str(path)):
            return path
        if "\\" in cell:
            path = self.path(cell.replace("\\", "/"))
            return path if exists(str(path)) else None
        return None


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


# How a name may differ, the least difference first, and what is the same then.
_LIKENESSES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("Unicode form", _nfc),
    ("case", lambda name: _nfc(name).casefold()),
    ("ending", lambda name: _nfc(Path(name).stem).casefold()),
)


def _folder_like(folder: Path) -> Path:
    """The folder of this name, or where there is none, one that differs only in Unicode form or case."""
    if folder.is_dir() or folder == folder.parent:
        return folder
    parent = _folder_like(folder.parent)
    try:
        names = sorted(entry.name for entry in os.scandir(parent) if entry.is_dir())
    except OSError:
        return folder
    like = next((name for name in names if _nfc(name).casefold() == _nfc(folder.name).casefold()), folder.name)
    return parent / like
