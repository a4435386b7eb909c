"""Splits that a sub-dataset does not say itself, or not all: drawn by content, from the whole list, or noted before.

What is drawn from the whole list moves when the list grows. Every such sub-dataset was split so once, and still is
where something was learnt on it; `note_splits` writes such a split down, and from then on it stays too.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from foundation.files import write_json
from subdatasets.errors import DataError
from subdatasets.files.memory import FileMemory
from subdatasets.image_files import content_hashes, contents_if_read
from subdatasets.reading.problems import Reading, Row
from subdatasets.reading.record import (
    DIGITS,
    known_digits,
    listed,
    noted,
    noted_splits,
    read_import_record,
    record_path,
)
from subdatasets.splits import SPLITS, content_splits, lacking, stratified_splits, val_from_train


@dataclass(frozen=True, slots=True)
class Notes:
    """Where splits that a source does not say are written down.

    record: as it is. keep: writes ``splits`` anew. memory: of files, which need not be read to be drawn by content.
    """

    record: Mapping[str, Any]
    keep: Callable[[dict[str, list[str]]], None] | None = None
    memory: FileMemory | None = None


# Asked only where a source says no splits; None: they are drawn from the whole list.
Notebook = Callable[[], Notes | None]
CONTENT, LIST = "content", "list"  # what splits are drawn from
REMEDY = "`graftnet data check --write-split` writes them down"


def draw_splits(reading: Reading, *, seed: int, fractions: Sequence[float], notebook: Notebook | None = None) -> None:
    """Give every row a split, and take val out of train where there is none; a warning says how.

    Args:
        reading: rows with settled labels.
        seed: decides over what is drawn.
        fractions: the shares of train, val and test.
        notebook: where what is drawn by content is noted; the record beside the source may note it too.
    """
    splits = [row.split for row in reading.rows]
    sizes = Counter(splits)
    given = not sizes[""]
    if given and (not sizes["train"] or sizes["val"] or not (len(fractions) > 1 and fractions[1] > 0)):
        return
    record = read_import_record(reading.source)
    written = isinstance(record.get("splits"), dict)
    notes = notebook() if notebook is not None else None
    if notes is None and written:
        notes = Notes({})
    if notes is not None:
        splits = _by_content(reading, notes, record, seed, fractions, given=given)
        reading.drawn = CONTENT
    else:
        splits = _from_list(reading, seed, fractions, given=given)
        reading.drawn = LIST
    if given:
        moved = splits.count("val")
        reading.warning(f"there is no split 'val', so {moved} of the {sizes['train']} images of train serve as val")
    elif reading.drawn == LIST:
        reading.warning(
            "it says no splits: they are drawn from the whole list each time it is read, and images change theirs when "
            f"others are added (import it, to have splits that stay, or {REMEDY})"
        )
    elif not written:
        reading.warning(f"it says no splits: each image's is drawn from its content, and stays ({REMEDY})")
    reading.rows = [
        Row(row.path, row.label, split, row.group, row.line) for row, split in zip(reading.rows, splits, strict=True)
    ]


def note_splits(reading: Reading, memory: FileMemory | None = None) -> Path | None:
    """Write the splits of a reading into the record beside its source; None where the source says them itself.

    memory: of files, which need not be read again.

    Raises:
        DataError: the record cannot be written, or an image cannot be read.
    """
    if not reading.drawn:
        return None
    hashes = content_hashes([row.path for row in reading.rows], memory=memory)
    contents = [hashes[row.path] for row in reading.rows]
    path = record_path(reading.source)
    record = {**read_import_record(reading.source), "splits": noted(contents, [row.split for row in reading.rows])}
    try:
        write_json(path, record)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}): check its folder's permissions") from error
    return path


def _values(rows: Sequence[Row]) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    index = {value: number for number, value in enumerate(sorted({row.label for row in rows}))}
    return np.asarray([index[row.label] for row in rows], dtype=np.int64).reshape(-1, 1)


def _from_list(reading: Reading, seed: int, fractions: Sequence[float], *, given: bool) -> list[str]:
    values = _values(reading.rows)
    groups = [row.group for row in reading.rows]
    if given:
        return val_from_train([row.split for row in reading.rows], values, groups, fractions=fractions, seed=seed)
    return stratified_splits(values.ravel().tolist(), groups, fractions=fractions, seed=seed)


def _by_content(
    reading: Reading, notes: Notes, record: Mapping[str, Any], seed: int, fractions: Sequence[float], *, given: bool
) -> list[str]:
    splits = [row.split for row in reading.rows]
    chosen = [number for number, split in enumerate(splits) if split in ("", "train")]
    rows = [reading.rows[number] for number in chosen]
    hashed = contents_if_read([row.path for row in rows], memory=notes.memory)
    # The name stands for what cannot be read, which is told elsewhere.
    contents = [content or row.path.name for content, row in zip(hashed, rows, strict=True)]
    earlier = {**noted_splits(notes.record, contents), **noted_splits(record, contents)}
    train, val = fractions[0], fractions[1]
    if given:
        fractions = (train / (train + val), val / (train + val), 0.0)
        earlier = {content: split for content, split in earlier.items() if split != SPLITS[2]}
    groups = [row.group for row in rows]
    choose = partial(content_splits, contents, _values(rows), groups, fractions=fractions, seed=seed, ranked=True)
    drawn = choose(earlier=earlier)
    if earlier and lacking(drawn, _values(rows), fractions):
        drawn = choose()  # most of what was there is gone: splits that cannot be used are no gain
    known = known_digits(notes.record)
    now = {**known, **{content[:DIGITS]: split for content, split in zip(contents, drawn, strict=True)}}
    if notes.keep is not None and now != known:
        notes.keep(listed(now))
    for number, split in zip(chosen, drawn, strict=True):
        splits[number] = split
    return splits
