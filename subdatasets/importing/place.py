"""Splits that an import draws, and files that it puts in place: what is there stays, or is kept under a dated name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation.files import set_aside, write_bytes
from foundation.history import Progress
from subdatasets.attribute import ordered_values
from subdatasets.copies import near_copies
from subdatasets.errors import DataError
from subdatasets.files.memory import FileMemory
from subdatasets.image_files import content_hashes
from subdatasets.reading.record import noted, noted_splits, read_import_record, record_path, recorded_order
from subdatasets.reading.rows import read_rows
from subdatasets.splits import SPLITS, content_splits, is_small, lacking
from subdatasets.subdataset import SubDataset, csv_bytes


@dataclass(frozen=True, slots=True)
class ImageList:
    """The images that the columns speak of: absolute paths, no two alike; splits are "" where none are given."""

    paths: list[Path]
    splits: list[str]
    groups: list[str | None]


class Draw(NamedTuple):
    """How splits are drawn: by seed and fractions; `there`: CSVs whose images keep the split they have."""

    seed: int
    fractions: Sequence[float]
    there: tuple[Path, ...] = ()
    near_copies: bool = False
    white: int = 0
    progress: Progress | None = None
    memory: FileMemory | None = None


class Drawn(NamedTuple):
    """The split of each image, how many kept theirs and are new (None: all were given), and what there is to say.

    noted: split -> contents (their first digits), where these are few: the record of the import keeps them.
    """

    splits: list[str]
    counts: dict[str, int] | None = None
    notes: Sequence[str] = ()
    noted: Mapping[str, list[str]] = {}


def drawn_splits(images: ImageList, values: NDArray[np.int64], draw: Draw) -> Drawn:
    """The splits of images that have none, by content; in small sets near to their shares, and noted."""
    given = bool(images.splits[0])
    train, val = draw.fractions[0], draw.fractions[1] if len(draw.fractions) > 1 else 0.0
    if given and ("val" in images.splits or "train" not in images.splits or not val > 0):
        return Drawn(images.splits)
    rows = [row for row, split in enumerate(images.splits) if split in ("", "train")]
    paths = [images.paths[row] for row in rows]
    hashes = content_hashes(paths, progress=draw.progress, memory=draw.memory)
    earlier = earlier_splits(draw, hashes)
    contents = [hashes[path] for path in paths]
    # Known by content alone: an image that was renamed since is a new one in the counts, and keeps its split.
    small = is_small(values[rows])
    before: dict[str, str] = {}
    for source in draw.there:
        before |= noted_splits(read_import_record(source), contents)
    before |= earlier
    if given:
        before = {content: split for content, split in before.items() if split != "test"}
        earlier = {content: split for content, split in earlier.items() if split != "test"}
    fractions = (train / (train + val), val / (train + val), 0.0) if given else tuple(draw.fractions)
    near = near_copies(paths, white=draw.white or None, progress=draw.progress) if draw.near_copies else None
    choose = partial(
        content_splits,
        contents,
        values[rows],
        [images.groups[row] for row in rows],
        fractions=fractions,
        seed=draw.seed,
        alike=None if near is None else near.tolist(),
        ranked=True,
    )
    chosen = choose(earlier=before)
    notes = []
    if before and lacking(chosen, values[rows], fractions):
        # A part of what was there, say: splits that cannot be used are no gain.
        chosen, earlier = choose(), {}
        notes.append("the splits are drawn anew: with those that images had, a value would be missing in one")
    splits = list(images.splits)
    for row, split in zip(rows, chosen, strict=True):
        splits[row] = split
    stayed = sum(content in earlier for content in contents)
    copies = len(contents) - len(set(contents))
    notes.append(_drawn_note(stayed, len(rows) - stayed, given=given))
    if copies:
        what = "image is a copy" if copies == 1 else "images are copies"
        notes.append(f"{copies} {what} of another one, byte by byte: they are in one split with it")
    written = noted(contents, chosen) if small else {}
    return Drawn(splits, {"kept": stayed, "new": len(rows) - stayed}, notes, written)


def _drawn_note(stayed: int, new: int, *, given: bool) -> str:
    what = "val is taken out of train" if given else "the splits are drawn"
    how = f"{what} by each image's content, so that they stay when images are added"
    return f"{how}: {stayed:,} keep the split they had, {new:,} are new" if stayed else how


def earlier_splits(draw: Draw, hashes: Mapping[Path, str]) -> dict[str, str]:
    """Content hash -> the split it has in the CSVs that are there, the one held out most where they differ."""
    found: dict[str, str] = {}
    for source in draw.there:
        try:
            rows = read_rows(source, seed=draw.seed, fractions=draw.fractions).rows if source.is_file() else []
        except DataError:
            continue
        new = content_hashes([row.path for row in rows if row.path not in hashes], memory=draw.memory)
        for row in rows:
            content = hashes.get(row.path) or new[row.path]
            found[content] = max(found.get(content, row.split), row.split, key=SPLITS.index)
    return found


def put_in_place(
    subdatasets: Sequence[SubDataset], records: Mapping[Path, dict[str, Any]], *, replace: bool
) -> tuple[Path, ...]:
    """Write CSVs and the records beside them, all or none; returns where files that were replaced are kept.

    Raises:
        DataError: something else is there, and `replace` is False; or a file whose name differs only in case.
    """
    files = {each.source: csv_bytes(each, each.source.parent) for each in subdatasets}
    changed: list[SubDataset] = []
    for subdataset in subdatasets:
        path = subdataset.source
        _require_own_name(path)
        if not path.exists():
            changed.append(subdataset)
        elif not path.is_file():
            raise DataError(f"{path} is there already and is no file: choose another destination")
        elif path.read_bytes() != files[path] or _order_there(subdataset) != subdataset.attribute.values:
            if not replace:
                raise DataError(
                    f"{path} is there already and differs ({_described(path)}; the import has "
                    f"{len(subdataset.examples):,} images): choose another name or destination, or add --replace, "
                    "which keeps the old one beside the new one under a dated name (in Python replace=True)"
                )
            changed.append(subdataset)
    kept: list[Path] = []
    for subdataset in subdatasets:
        path, record = subdataset.source, record_path(subdataset.source)
        if subdataset in changed:
            kept += [set_aside(old) for old in (path, record) if old.is_file()]
        text = json.dumps(records[path], indent=2, ensure_ascii=False) + "\n"
        write_bytes(record, text.encode("utf-8", "backslashreplace"), error=DataError)
        if subdataset in changed:
            write_bytes(path, files[path], error=DataError)
    return tuple(kept)


def _require_own_name(path: Path) -> None:
    """Refuse a name that differs from one there only in case or in its ending's: one file on many systems."""
    if not path.parent.is_dir():
        return
    for other in sorted(path.parent.iterdir()):
        same = other.name.casefold() == path.name.casefold() and other.name != path.name
        if same and not other.name.startswith("."):
            raise DataError(
                f"{other} is there, and its name differs from {path.name} only in case: rename one of the two"
            )


def _order_there(subdataset: SubDataset) -> tuple[str, ...]:
    """The order of the values as the files there give it."""
    found = set(subdataset.attribute.values)
    recorded = recorded_order(read_import_record(subdataset.source), found)
    return recorded or ordered_values(found, subdataset.attribute.name)


def _described(path: Path) -> str:
    """What a sub-dataset holds that is there."""
    try:
        rows = read_rows(path, seed=0, fractions=(1.0, 0.0, 0.0)).rows
    except DataError:
        return "no sub-dataset that can be read"
    counts = {label: sum(row.label == label for row in rows) for label in sorted({row.label for row in rows})}
    listed = ", ".join(f"{count:,} {label}" for label, count in list(counts.items())[:5])
    return f"{len(rows):,} images: {listed}"
