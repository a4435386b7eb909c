"""Large tables, read column by column in pieces: what is plain is taken as it stands, all else is left to `read_rows`.

A table is plain where every row names an image, a value and a split and nothing has to be told about any of them.
Whether the images exist is not asked here: whoever hashes them finds out, file by file (`subdatasets.files.memory`).
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from subdatasets.attribute import contradiction, is_attribute_name, is_unknown, spellings
from subdatasets.reading.examples import Examples, Paths
from subdatasets.reading.forms import PATH_COLUMNS
from subdatasets.reading.problems import SPLIT_NAMES
from subdatasets.reading.tables import PARQUET, Locations, delimiter_of, trimmed
from subdatasets.splits import SPLITS

if TYPE_CHECKING:
    import pyarrow

SMALLEST = 1_000_000  # bytes of a CSV, some 30,000 rows; below it reading row by row takes no second
_BLOCK = 1 << 20
_ROWS = 1 << 15
_LONGEST = 4096  # bytes of a path
_MOST = 1000  # different labels
# Cells that the careful reader would trim, paths that pathlib would write otherwise, and other systems' slashes.
_BLANK = r"[\p{Z}\x00-\x20\x7f\x{85}\x{200b}-\x{200f}\x{2060}\x{feff}]"
_ODD = rf"^{_BLANK}|{_BLANK}$|//|/$|(^|/)\.(/|$)|\\"
_POWERS = np.cumprod(np.full(_LONGEST, 0x9E3779B97F4A7C15, np.uint64), dtype=np.uint64)


class Plain(NamedTuple):
    """The examples of a plain table, whose values count in `labels`, as they are spelled canonically."""

    examples: Examples
    labels: tuple[str, ...]


def read_plain(source: Path) -> Plain | None:
    """A large table, or any Parquet file, that is plain; None where it is not: then it has to be read with care."""
    if os.sep != "/" or not source.is_file() or not is_attribute_name(source.stem):
        return None
    parquet = source.suffix.casefold() == PARQUET
    if not parquet and (source.suffix.casefold() != ".csv" or source.stat().st_size < SMALLEST):
        return None
    import pyarrow

    try:
        pieces = _parquet_pieces(source) if parquet else _csv_pieces(source)
        gathered = _Gathered(source.absolute().parent)
        for piece in pieces:
            if not gathered.take(*piece):
                return None
    except (OSError, pyarrow.ArrowException, _Odd):
        return None
    return gathered.plain(first=1 if parquet else 2)


class _Odd(Exception):
    """Something that the careful reader has to look at."""


# Arrays of paths, labels and splits, and of groups where there are any.
_Piece = tuple["pyarrow.Array[Any]", "pyarrow.Array[Any]", "pyarrow.Array[Any]", "pyarrow.Array[Any] | None"]


def _wanted(header: Sequence[str]) -> list[int]:
    """The positions of path, label, split and, where there is one, group."""
    folded = [title.casefold() for title in header]
    if len({title for title in folded if title}) < sum(map(bool, folded)):
        raise _Odd
    path = next((folded.index(name) for name in PATH_COLUMNS if name in folded), None)
    if path is None or "label" not in folded or "split" not in folded:
        raise _Odd
    return [path, *(folded.index(name) for name in ("label", "split", "group") if name in folded)]


def _csv_pieces(source: Path) -> Iterator[_Piece]:
    from pyarrow import csv, string, system_memory_pool

    with source.open("rb") as file:
        first = file.readline()
        _require_plain_text(file, first)
    try:
        line = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise _Odd from error
    delimiter = delimiter_of(line)
    header = [trimmed(title) for title in line.split(delimiter)]
    names = [f"{number}" for number in range(len(header))]
    chosen = [names[place] for place in _wanted(header)]
    reader = csv.open_csv(
        source,
        read_options=csv.ReadOptions(use_threads=False, block_size=_BLOCK, skip_rows=1, column_names=names),
        parse_options=csv.ParseOptions(delimiter=delimiter, quote_char=False, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, string()), include_columns=chosen, strings_can_be_null=False
        ),
        memory_pool=system_memory_pool(),
    )
    for batch in reader:
        columns = batch.columns
        yield columns[0], columns[1], columns[2], columns[3] if len(columns) > 3 else None


def _require_plain_text(file: Any, first: bytes) -> None:
    """Refuse quotes, which may hold lines and delimiters, bytes that are no text, and line ends of old Macs."""
    if not first.strip() or first.lstrip(b'\xef\xbb\xbf"').lower().startswith(b"sep="):
        raise _Odd
    block, returns, ends = first, 0, 0
    while block:
        if b'"' in block or b"\0" in block:
            raise _Odd
        if block.endswith(b"\r"):
            block += file.read(1)
        returns, ends = returns + block.count(b"\r"), ends + block.count(b"\r\n")
        block = file.read(_BLOCK)
    if returns != ends:
        raise _Odd


def _parquet_pieces(source: Path) -> Iterator[_Piece]:
    from pyarrow import dictionary, string, types
    from pyarrow.parquet import ParquetFile

    with ParquetFile(source) as file:
        header = file.schema_arrow.names
        chosen = [header[place] for place in _wanted([trimmed(title) for title in header])]
        for batch in file.iter_batches(batch_size=_ROWS, columns=chosen, use_threads=False):
            columns = [batch.column(name) for name in chosen]
            if any(column.null_count for column in columns):
                raise _Odd
            texts = [
                column.cast(dictionary(column.type.index_type, string())).dictionary_decode()
                if types.is_dictionary(column.type)
                else column.cast(string())
                for column in columns
            ]
            yield texts[0], texts[1], texts[2], texts[3] if len(texts) > 3 else None


# The paths of tables that are in use: attributes labelled over one list of images have them once.
_IN_USE: WeakValueDictionary[bytes, Paths] = WeakValueDictionary()


def _shared(paths: Paths) -> Paths:
    digest = hashlib.sha256("\0".join(paths.beginnings).encode("utf-8", "surrogateescape"))
    for part in (paths.data, paths.which.data, paths.starts.data, paths.ends.data):
        digest.update(part)
    return _IN_USE.setdefault(digest.digest(), paths)


class _Column:
    """Numbers that come piece by piece, kept once."""

    def __init__(self, kind: type[np.integer]) -> None:
        self.kind, self.data = kind, bytearray()

    def add(self, numbers: NDArray[np.integer]) -> None:
        self.data += numbers.astype(self.kind).tobytes()

    def whole(self) -> NDArray[Any]:
        return np.frombuffer(self.data, self.kind)


class _Gathered:
    """What was read so far."""

    def __init__(self, folder: Path) -> None:
        locations = Locations(folder)
        # "../x" counts from the folder's parent only where that is the same for the operating system.
        self.beginnings = (f"{folder}/", f"{locations.beside}/" if locations.beside else f"{folder}/../", "")
        self.same_folder = f"../{folder.name}/"
        self.data = bytearray()
        self.starts, self.ends, self.which = _Column(np.uint32), _Column(np.uint32), _Column(np.uint8)
        self.keys, self.codes, self.splits = _Column(np.uint64), _Column(np.int16), _Column(np.uint8)
        self.counts = np.zeros(len(SPLITS) * (_MOST + 1), np.int64)
        self.groups: list[str | None] = []
        self.labels: dict[str, int] = {}

    def take(self, paths: Any, labels: Any, splits: Any, groups: Any) -> bool:
        """Take a piece; False where it holds what is not plain."""
        import pyarrow.compute as compute

        if not len(paths):
            return True
        if compute.any(compute.match_substring_regex(paths, _ODD)).as_py():
            return False
        if compute.any(compute.starts_with(paths, self.same_folder)).as_py():
            return False
        codes = self._coded(labels)
        names = _translated(splits, lambda cell: _SPLITS.get(SPLIT_NAMES.get(cell.casefold(), "")))
        if codes is None or names is None or not self._placed(paths):
            return False
        self.codes.add(codes)
        self.splits.add(names)
        self.counts += np.bincount(names * (_MOST + 1) + codes, minlength=len(self.counts))
        if groups is not None:
            encoded = groups.dictionary_encode()
            known = [None if is_unknown(name := trimmed(cell)) else name for cell in encoded.dictionary.to_pylist()]
            self.groups += [known[code] for code in encoded.indices.to_pylist()]
        return True

    def _coded(self, labels: Any) -> NDArray[np.int64] | None:
        def code(cell: str) -> int | None:
            return None if not cell or is_unknown(cell) else self.labels.setdefault(cell, len(self.labels))

        codes = _translated(labels, code)
        return None if len(self.labels) > _MOST else codes

    def _placed(self, paths: Any) -> bool:
        """Add the bytes of the paths, and a key of each that tells two apart."""
        import pyarrow.compute as compute

        _, ends_of, bytes_of = paths.buffers()
        ends = np.frombuffer(ends_of, np.int32)[paths.offset : paths.offset + len(paths) + 1].astype(np.int64)
        text = np.frombuffer(bytes_of, np.uint8)[ends[0] : ends[-1]]
        starts, ends = ends[:-1] - ends[0], ends[1:] - ends[0]
        lengths = ends - starts
        if lengths.min() == 0 or lengths.max() >= _LONGEST or len(self.data) + len(text) >= 2**32:
            return False
        places = np.arange(len(text)) - np.repeat(starts, lengths)
        self.keys.add(np.add.reduceat((text.astype(np.uint64) + np.uint64(1)) * _POWERS[places], starts))
        absolute = text[starts] == ord("/")
        above = compute.starts_with(paths, "../").to_numpy(zero_copy_only=False)
        above &= ~compute.starts_with(paths, "../..").to_numpy(zero_copy_only=False)
        before = len(self.data)
        self.data += text.tobytes()
        self.which.add(np.where(absolute, 2, np.where(above, 1, 0)))
        self.starts.add(before + starts + np.where(above, 3, 0))
        self.ends.add(before + ends)
        return True

    def plain(self, *, first: int) -> Plain | None:
        """All together, or None where an image occurs twice, or values and splits are not as they should be."""
        which, keys = self.which.whole(), self.keys.whole()
        keys.sort()
        if (keys[1:] == keys[:-1]).any() or ((which == 2).any() and not (which == 2).all()):
            return None
        self.keys = _Column(np.uint64)
        del keys
        canonical = spellings(self.labels)
        labels = tuple(sorted(set(canonical.values())))
        if len(labels) < 2 or contradiction(labels) is not None or not all(map(str.isprintable, labels)):
            return None
        order = np.array([labels.index(canonical[raw]) for raw in self.labels], dtype=np.int16)
        codes, splits = order[self.codes.whole()], self.splits.whole()
        counts = np.zeros((len(SPLITS), len(labels)), np.int64)
        for raw, label in enumerate(order.tolist()):
            counts[:, label] += self.counts.reshape(len(SPLITS), -1)[:, raw]
        if not counts[:2].all() or (counts[2].any() and not counts[2].all()):
            return None
        paths = _shared(Paths(self.beginnings, which, self.data, self.starts.whole(), self.ends.whole()))
        groups = self.groups if any(group is not None for group in self.groups) else None
        return Plain(Examples(paths, codes, splits, groups, first), labels)


_SPLITS: dict[str, int] = {name: number for number, name in enumerate(SPLITS)}


def _translated(cells: Any, number: Any) -> NDArray[np.int64] | None:
    """`number` of each cell, asked once for each that differs; None where it is None for one."""
    encoded = cells.dictionary_encode()
    numbers = [number(trimmed(cell)) for cell in encoded.dictionary.to_pylist()]
    if any(each is None for each in numbers):
        return None
    found: NDArray[np.int64] = np.array(numbers, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
    return found
