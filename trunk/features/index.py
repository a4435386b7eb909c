"""Index of a depth's rows: sorted digests of keys with shard and row, memory-mapped, so that millions open at once.

``rows.index`` beside a depth's shards is one line of JSON (which shards it knows, and size, time and inode of their
files when they were found whole) and three arrays: of every row the digest of its key, 256 bits as four numbers, the
first of which is sorted by, and its shard and row. It holds nothing that the shards' own records do not: where it is
missing, damaged, or another's, it is made anew.

Shards that changed within `FRESH` seconds of being read are left out of the file: within a clock's tick a file may
change again and look the same.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation.files import replace_atomically

INDEX = "rows.index"
FORMAT = 1
FRESH = 2.0  # seconds
CHUNK = 2**16  # keys that are looked up at once
HASH = 64  # hex digits of a content hash
WORDS = 4
THREADS = 4  # that read shards

Words = NDArray[np.uint64]  # (N, 4), a digest per row
Places = NDArray[np.uint32]  # (N, 2), shard and row
State = list[list[int]]  # of a record and its array: inode, size, time


class Shard(NamedTuple):
    """A whole shard: the name of its files, their state when it was found whole, and its rows."""

    name: str
    state: State
    rows: int


class Verified(NamedTuple):
    """What a full check of a depth found: whole shards with their rows and bytes; damaged ones, which are deleted."""

    shards: int
    rows: int
    bytes: int
    damaged: int


class Index:
    """The rows of all shards of a depth; nothing but the list of shards is held in memory."""

    def __init__(self, shards: Sequence[Shard], first: Words, rest: Words, places: Places) -> None:
        self.shards, self.first, self.rest, self.places = shards, first, rest, places

    @classmethod
    def empty(cls) -> "Index":
        """Of no shard."""
        return cls([], *(np.empty(shape, kind) for shape, kind in layout(0)))

    def __len__(self) -> int:
        """How many keys there are; one that lies in two shards counts once."""
        again = (self.first[1:] == self.first[:-1]) & (self.rest[1:] == self.rest[:-1]).all(1)
        return len(self.first) - int(again.sum())

    def __contains__(self, key: str) -> bool:
        return bool(self.find([key])[0, 0] >= 0)

    def find(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """(n, 2): shard and row of each key, -1 where there is none."""
        places = np.full((len(keys), 2), -1, dtype=np.int64)
        for start in range(0, len(keys), CHUNK):
            self.find_some(digests(keys[start : start + CHUNK]), places[start : start + CHUNK])
        return places

    def find_some(self, wanted: Words, places: NDArray[np.int64]) -> None:
        """Fill in the places of these digests."""
        order = np.argsort(wanted[:, 0])  # in their order the search reads the file once, from front to back
        asked, at = order, np.searchsorted(self.first, wanted[order, 0])
        while len(asked):
            near = at < len(self.first)
            asked, at = asked[near], at[near]
            near = self.first[at] == wanted[asked, 0]
            asked, at = asked[near], at[near]
            found = (self.rest[at] == wanted[asked, 1:]).all(1)
            places[asked[found]] = self.places[at[found]]
            asked, at = asked[~found], at[~found] + 1  # another key whose first number is the same


def hash_bytes(keys: Sequence[str]) -> bytes | None:
    """The bytes of content hashes, one after the other; None where a key is none."""
    text = "".join(keys)
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return None
    whole = len(data) == HASH // 2 * len(keys) and all(len(key) == HASH for key in keys)
    return data if whole and text == text.lower() else None


def layout(rows: int) -> list[tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shapes and kinds of the arrays."""
    return [
        ((rows,), np.dtype("<u8")),
        ((rows, WORDS - 1), np.dtype("<u8")),
        ((rows, 2), np.dtype("<u4")),
    ]


def digests(keys: Sequence[str]) -> Words:
    """256 bits per key: a content hash itself, the SHA-256 of any other key."""
    data = hash_bytes(keys)
    if data is None:
        data = b"".join(hash_bytes([key]) or hashlib.sha256(key.encode()).digest() for key in keys)
    return np.frombuffer(data, ">u8").reshape(-1, WORDS).astype("<u8")


def changed(index: Index, gone: Collection[str], added: Sequence[tuple[Shard, Words]]) -> Index:
    """The index without the shards of some names, and with the rows of others."""
    stay = [number for number, shard in enumerate(index.shards) if shard.name not in gone]
    numbers = np.full(len(index.shards) + 1, -1, dtype=np.int64)
    numbers[stay] = np.arange(len(stay))
    keep = numbers[index.places[:, 0]] >= 0
    if not added and len(stay) == len(index.shards):
        return index
    places = [np.stack([numbers[index.places[keep, 0]], index.places[keep, 1]], 1).astype("<u4")]
    for number, (shard, _) in enumerate(added, start=len(stay)):
        places.append(np.stack([np.full(shard.rows, number), np.arange(shard.rows)], 1).astype("<u4"))
    first = np.concatenate([index.first[keep], *(words[:, 0] for _, words in added)])
    rest = np.concatenate([index.rest[keep], *(words[:, 1:] for _, words in added)])
    order = np.argsort(first, kind="stable")
    shards = [index.shards[number] for number in stay] + [shard for shard, _ in added]
    return Index(shards, first[order], rest[order], np.concatenate(places)[order])


def save(index: Index, folder: Path, of: dict[str, Any]) -> None:
    """Write ``rows.index``; where nothing can be written, whoever comes next reads the shards again.

    of: what the rows are: where that is another, the file is not read.
    """
    head = {"format": FORMAT, "rows": len(index.first), "of": of, "shards": index.shards}
    line = json.dumps(head).encode()
    line += b" " * (-(len(line) + 1) % 64) + b"\n"

    def write(path: Path) -> None:
        with open(path, "wb") as file:
            file.write(line)
            for array, (_, kind) in zip((index.first, index.rest, index.places), layout(0), strict=True):
                np.ascontiguousarray(array, kind).tofile(file)

    try:
        replace_atomically(folder / INDEX, write, durable=False)
    except OSError:
        return


def load(folder: Path, of: dict[str, Any]) -> Index:
    """The index of a folder, memory-mapped; an empty one where there is none, or it is no index of such rows."""
    path = folder / INDEX
    try:
        with open(path, "rb") as file:
            line = file.readline()
        head = json.loads(line)
        shards = [Shard(str(name), state, int(rows)) for name, state, rows in head["shards"]]
        if head["format"] != FORMAT or head["of"] != of:
            return Index.empty()
        arrays, offset = [], len(line)
        for shape, kind in layout(int(head["rows"])):
            arrays.append(np.memmap(path, kind, "r", offset, shape) if head["rows"] else np.empty(shape, kind))
            offset += arrays[-1].nbytes
        index = Index(shards, *arrays)
        known = len(shards) > int(index.places[:, 0].max(initial=0)) or not len(index.first)
        return index if path.stat().st_size == offset and known else Index.empty()
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return Index.empty()


class Reader:
    """The index of a folder, kept true: shards that were added or changed are read, those that are gone left out.

    of: what the rows are (their shape and codec): a file that is of others is not read.
    """

    def __init__(self, folder: Path, of: dict[str, Any]) -> None:
        self.folder, self.of = folder, of
        self.index = load(folder, of)
        self.held_back = False  # whether the file lacks shards that had just been written

    def read(self, digests_of: Callable[[Path, State], Words | None]) -> Index:
        """The index of what is there now.

        digests_of: of a record and its state, the digests of the shard's keys; None for a damaged one, which is
            deleted.
        """
        states, known = states_of(self.folder), {shard.name: shard.state for shard in self.index.shards}
        gone = {name for name, state in known.items() if states.get(name) != state}
        coming = [name for name, state in states.items() if known.get(name) != state]
        records = [self.folder / f"{name}.json" for name in coming]
        with ThreadPoolExecutor(THREADS) as pool:
            contents = list(pool.map(digests_of, records, [states[name] for name in coming]))
        added = []
        for name, record, words in zip(coming, records, contents, strict=True):
            if words is None:
                record.unlink(missing_ok=True)
                record.with_suffix(".npy").unlink(missing_ok=True)
            else:
                added.append((Shard(name, states[name], len(words)), words))
        self.index = changed(self.index, gone, added)
        if gone or added or self.held_back:
            self.save()
        return self.index

    def save(self) -> None:
        """Write the file, without what has been written just now."""
        young = {shard.name for shard in self.index.shards if not settled(shard.state)}
        if len(young) < len(self.index.shards):
            save(changed(self.index, young, []), self.folder, self.of)
        self.held_back = bool(young)


def states_of(folder: Path) -> dict[str, State]:
    """Inode, size and time of the files of each shard that has a record and an array, by its name, in order."""
    found: dict[str, os.stat_result] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".json", ".npy")) and entry.is_file():
                found[entry.name] = entry.stat()
    states: dict[str, State] = {}
    for name in sorted(name.removesuffix(".json") for name in found if name.endswith(".json")):
        pair = [found.get(f"{name}{ending}") for ending in (".json", ".npy")]
        states[name] = [[stat.st_ino, stat.st_size, stat.st_mtime_ns] if stat else [] for stat in pair]
    return states


def settled(state: State) -> bool:
    """Whether files of this state have been so for a while."""
    return all(part and time.time() - part[2] / 1e9 > FRESH for part in state)


def state_of(record: Path) -> State:
    """Inode, size and time of a shard's record and of its array."""
    stats = [path.stat() for path in (record, record.with_suffix(".npy"))]
    return [[stat.st_ino, stat.st_size, stat.st_mtime_ns] for stat in stats]
