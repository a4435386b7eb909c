"""A memory of files: the content hash, picture size and verdict of each, as long as the file has not been touched.

A file is known by its path, size, times (mtime and ctime, in ns) and inode. What was looked at within two seconds of
its times is not remembered, as in git's index ("racy git"): a second write in the clock's granularity would leave them.

The memory is an SQLite file that grows by whole blocks, so that several processes may write at once. Without it, or
where it cannot be written, everything is read as if it had never been there; it may be deleted at any time.
"""

import contextlib
import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray

from subdatasets.files.stamps import ABSENT, Stamp, settled

FILE = "files.sqlite"  # below a project's runs
BLOCK = 8192  # files that are written down together
LATEST = 2.0  # seconds after which what was learnt is written down, so that a killed command loses little
_CROWDED = 64  # blocks of one folder, from which on they are joined

# What tells whether a file is the one that was looked at.
STAMPS = Stamp._fields
ENTRY = np.dtype(
    [*((stamp, "<i8") for stamp in STAMPS), ("content", "V32"), ("width", "<i4"), ("height", "<i4"), ("verdict", "u1")]
)
UNCHECKED, FINE, WRONG = range(3)
Entries = NDArray[np.void]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    folder BLOB NOT NULL, names BLOB NOT NULL, entries BLOB NOT NULL, wrongs TEXT NOT NULL, reader TEXT NOT NULL,
    crc INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS blocks_of_folder ON blocks (folder, number);
"""
_SELECT = (
    "SELECT number, names, entries, wrongs, reader, crc FROM blocks WHERE folder = ? AND number > ? ORDER BY number"
)
_INSERT = "INSERT INTO blocks (folder, names, entries, wrongs, reader, crc) VALUES (?, ?, ?, ?, ?, ?)"
_Row = tuple[int, bytes, bytes, str, str, int]


class Seen(NamedTuple):
    """What was found in a file: SHA-256 as 64 digits; where it was decoded, its size and what is wrong with it."""

    content: str
    size: tuple[int, int] = (0, 0)
    wrong: str | None = None
    checked: bool = False


class Recalled(NamedTuple):
    """What is remembered of N files: (N,) whether they are known, and their entries; `wrongs`: row -> sentence."""

    known: NDArray[np.bool_]
    entries: Entries
    wrongs: Mapping[int, str]

    def contents(self) -> list[str]:
        """The content hash of each file; of those that are not known 64 zeros."""
        digits = np.ascontiguousarray(self.entries["content"]).tobytes().hex()
        return [digits[start : start + 64] for start in range(0, len(digits), 64)]


@dataclass
class _Folder:
    """The entries of one folder, sorted by the hash of the file's name; `last`: the newest block read."""

    keys: NDArray[np.int64]
    entries: Entries
    wrongs: dict[str, str]  # name -> what is wrong with the picture
    last: int


@dataclass
class FileMemory:
    """The files that were looked at before, kept in `file`."""

    file: Path
    _folders: dict[str, _Folder] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def recall(self, paths: Sequence[str], stamps: Sequence[Stamp], *, checked: bool = False) -> Recalled:
        """What is known of files, as they are now.

        Args:
            paths: absolute, N.
            stamps: of each, taken now.
            checked: whether only files count that were decoded, by the Pillow in use.
        """
        recalled = Recalled(np.zeros(len(paths), np.bool_), np.zeros(len(paths), ENTRY), {})
        names, by_folder = _by_folder(paths)
        with self._lock:
            self._read(by_folder)
            folders = {folder: self._folders.get(folder) for folder in by_folder}
        wrongs: dict[int, str] = {}
        for folder, rows in by_folder.items():
            known = folders[folder]
            if known is None or not len(known.keys):
                continue
            keys = np.fromiter((hash(names[row]) for row in rows), np.int64, len(rows))
            at = np.minimum(np.searchsorted(known.keys, keys), len(known.keys) - 1)
            entries = known.entries[at]
            now = np.array([stamps[row] for row in rows], dtype=np.int64)
            same = (known.keys[at] == keys) & (now[:, 0] != ABSENT.size)
            for column, stamp in enumerate(STAMPS):
                same &= entries[stamp] == now[:, column]
            if checked:
                same &= entries["verdict"] != UNCHECKED
            places = np.asarray(rows)
            recalled.known[places] = same
            recalled.entries[places[same]] = entries[same]
            for place in np.flatnonzero(same & (entries["verdict"] == WRONG)).tolist():
                wrongs[rows[place]] = known.wrongs.get(names[rows[place]], "is damaged")
        return recalled._replace(wrongs=wrongs)

    def forget(self) -> None:
        """Forget all files, so that each is looked at again."""
        with self._lock:
            self._folders.clear()
            with contextlib.suppress(sqlite3.Error, OSError), self._open() as connection:
                connection.execute("DELETE FROM blocks")

    @contextlib.contextmanager
    def learning(self) -> Iterator["Learning"]:
        """Takes down what is seen, and writes it from time to time and at the end, whatever happens."""
        learning = Learning(self)
        try:
            yield learning
        finally:
            learning.write()

    def write(self, files: Mapping[str, tuple[Stamp, Seen]]) -> None:
        """Add files: path -> its stamp and what was seen; where nothing can be written, nothing is."""
        names, by_folder = _by_folder(list(files))
        facts = list(files.values())
        blocks = [
            (os.fsencode(folder), *_packed({names[row]: facts[row] for row in rows}))
            for folder, rows in by_folder.items()
        ]
        if blocks:
            with self._lock, contextlib.suppress(sqlite3.Error, OSError), self._open() as connection:
                connection.executemany(_INSERT, blocks)

    @contextlib.contextmanager
    def _open(self, *, writing: bool = True) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction; a damaged file is deleted: what it held can be found again.

        Raises:
            sqlite3.Error, OSError: there is no such file, or it cannot be read or written.
        """
        if writing:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        elif not self.file.exists():
            raise FileNotFoundError(self.file)
        try:
            with contextlib.closing(self._connect(writing)) as connection, connection:
                yield connection
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    self.file.with_name(f"{self.file.name}{suffix}").unlink()
            raise

    def _connect(self, writing: bool) -> sqlite3.Connection:
        connection = None
        try:
            connection = sqlite3.connect(self.file, timeout=10.0)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
        except sqlite3.OperationalError:
            if connection is not None:
                connection.close()
            if writing:
                raise
            # A disk that cannot be written: the file may be read all the same, for nobody changes it there.
            return sqlite3.connect(f"{self.file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        except sqlite3.Error:
            if connection is not None:
                connection.close()
            raise
        return connection

    def _read(self, folders: Iterable[str]) -> None:
        """Read what these folders have gained since they were read last."""
        try:
            with self._open(writing=False) as connection:
                for folder in folders:
                    known = self._folders.get(folder)
                    key = os.fsencode(folder)
                    rows = connection.execute(_SELECT, (key, known.last if known else 0)).fetchall()
                    if rows:
                        self._folders[folder] = _joined(known, rows)
                    if len(rows) > _CROWDED:
                        with contextlib.suppress(sqlite3.Error):
                            _tidy(connection, key)
        except (sqlite3.Error, OSError):
            return


class Learning:
    """What was seen since it was written down last."""

    def __init__(self, memory: FileMemory) -> None:
        self.memory = memory
        self.files: dict[str, tuple[Stamp, Seen]] = {}
        self.written = time.monotonic()

    def take(self, path: str, stamp: Stamp, looked: int, seen: Seen) -> None:
        """Remember one file; not what may be written again without another stamp. `looked`: when that was taken."""
        if stamp != ABSENT and settled(stamp, looked):
            self.files[path] = (stamp, seen)
        if len(self.files) >= BLOCK or (self.files and time.monotonic() - self.written > LATEST):
            self.write()

    def write(self) -> None:
        """Write down what was not yet."""
        self.memory.write(self.files)
        self.files, self.written = {}, time.monotonic()


@lru_cache(maxsize=4)
def memory_in(runs: Path) -> FileMemory:
    """The memory of the project whose runs lie there; one in a process, so that what it has read is read once."""
    return FileMemory(runs / FILE)


def _by_folder(paths: Sequence[str]) -> tuple[list[str], dict[str, list[int]]]:
    """The names of files, and folder -> the rows of those that lie in it."""
    names, by_folder = [], dict[str, list[int]]()
    for row, path in enumerate(paths):
        folder, name = os.path.split(path)
        names.append(name)
        by_folder.setdefault(folder, []).append(row)
    return names, by_folder


def _packed(files: Mapping[str, tuple[Stamp, Seen]]) -> tuple[bytes, bytes, str, str, int]:
    """A block of files of one folder, but for the folder: name -> stamp and what was seen."""
    entries = np.zeros(len(files), ENTRY)
    stamps = np.array([stamp for stamp, _ in files.values()], dtype=np.int64)
    for column, stamp in enumerate(STAMPS):
        entries[stamp] = stamps[:, column]
    found = [seen for _, seen in files.values()]
    entries["content"] = np.frombuffer(bytes.fromhex("".join(seen.content for seen in found)), "V32")
    entries["width"], entries["height"] = np.array([seen.size for seen in found], dtype=np.int32).T
    entries["verdict"] = [0 if not seen.checked else FINE if seen.wrong is None else WRONG for seen in found]
    return _block(list(files), entries, {name: seen.wrong for name, (_, seen) in files.items() if seen.wrong})


def _block(names: Sequence[str], entries: Entries, wrongs: Mapping[str, str]) -> tuple[bytes, bytes, str, str, int]:
    listed, data = os.fsencode("\0".join(names)), entries.tobytes()
    return listed, data, json.dumps(wrongs), PIL.__version__, zlib.crc32(data, zlib.crc32(listed))


def _unpacked(row: _Row) -> tuple[list[str], Entries, dict[str, str]]:
    """Names, entries and sentences of a block; nothing where it is damaged."""
    _, listed, data, sentences, reader, crc = row
    if zlib.crc32(data, zlib.crc32(listed)) != crc or len(data) % ENTRY.itemsize:
        return [], np.zeros(0, ENTRY), {}
    entries = np.frombuffer(data, ENTRY).copy()
    if reader != PIL.__version__:  # another Pillow may read what this one cannot
        entries["verdict"] = UNCHECKED
    return os.fsdecode(listed).split("\0"), entries, json.loads(sentences)


def _joined(known: _Folder | None, rows: Sequence[_Row]) -> _Folder:
    """What is known with the blocks that follow; of a file that stands there twice the last entry counts."""
    keys, parts = ([known.keys], [known.entries]) if known else ([np.zeros(0, np.int64)], [np.zeros(0, ENTRY)])
    wrongs = dict(known.wrongs) if known else {}
    for row in rows:
        names, entries, sentences = _unpacked(row)
        keys.append(np.fromiter(map(hash, names), np.int64, len(names)))
        parts.append(entries)
        wrongs |= sentences
    joined = np.concatenate(keys)
    order = np.argsort(joined, kind="stable")
    joined = joined[order]
    latest = np.append(joined[1:] != joined[:-1], True) if len(joined) else np.zeros(0, np.bool_)
    return _Folder(joined[latest], np.concatenate(parts)[order[latest]], wrongs, rows[-1][0])


def _tidy(connection: sqlite3.Connection, folder: bytes) -> None:
    """Join the many small blocks of a folder to one, without what later ones say anew."""
    connection.execute("BEGIN IMMEDIATE")
    entries: dict[str, np.void] = {}
    wrongs: dict[str, str] = {}
    for row in connection.execute(_SELECT, (folder, 0)).fetchall():
        names, block, sentences = _unpacked(row)
        entries |= dict(zip(names, block, strict=True))
        wrongs |= sentences
    connection.execute("DELETE FROM blocks WHERE folder = ?", (folder,))
    joined = np.array(list(entries.values()), dtype=ENTRY)
    connection.execute(_INSERT, (folder, *_block(list(entries), joined, wrongs)))
