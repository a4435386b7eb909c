"""Sub-datasets of many attributes joined into one label table, on what is inside the image files.

Sub-datasets come one by one, often with their own copies of the same photos; an image is one row, whatever its files
are called. What a sub-dataset does not label stays unknown.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.history import Progress
from subdatasets.errors import DataError
from subdatasets.image_files import content_hashes
from subdatasets.labels.table import LabelTable, label_states, labels_of
from subdatasets.splits import SPLITS
from subdatasets.subdataset import SubDataset

_NAMED = 3


def join_subdatasets(
    subdatasets: Sequence[SubDataset], *, hashes: Mapping[Path, str] | None = None, progress: Progress | None = None
) -> LabelTable:
    """One row per image content, one label per attribute of two values, "name=value" for each of more.

    An image that sub-datasets put in different splits counts as held out (test before val before train). Where one
    sub-dataset labels equal images differently, the attribute is unknown there. The table's notes say of both.

    Args:
        subdatasets: the attributes, in the order that the labels get.
        hashes: the content hash of every example's path; None: hash them now.
        progress: hears the stage "images" while files are hashed.

    Raises:
        DataError: no sub-dataset, or a file that cannot be read.
    """
    if not subdatasets:
        raise DataError("there is no sub-dataset to make a label table of: import one first")
    if hashes is None:
        texts = dict.fromkeys(chain.from_iterable(subdataset.columns.texts() for subdataset in subdatasets))
        hashes = content_hashes(map(Path, texts), progress=progress)
    paths = {str(path): path for path in hashes}
    images: list[Path] = []
    number: dict[str, int] = {}  # content -> row
    row_of: dict[str, int] = {}  # path -> row
    rows: list[NDArray[np.int32]] = []
    for subdataset in subdatasets:
        names = subdataset.columns.texts()
        for name in names:
            if name not in row_of:
                row_of[name] = number.setdefault(hashes[paths[name]], len(number))
                if len(number) > len(images):
                    images.append(paths[name])
        rows.append(np.fromiter(map(row_of.__getitem__, names), np.int32, len(names)))
    del number, row_of, paths
    splits, moved = _held_out(subdatasets, rows, len(images))
    notes = [_note(moved, "in two splits: held out, not in train")] if moved else []
    columns = []
    for subdataset, row in zip(subdatasets, rows, strict=True):
        values = np.full(len(images), -1, dtype=np.int64)
        values[row] = subdataset.columns.values
        torn: dict[int, Path] = {}
        often = np.bincount(row, minlength=1)[row] > 1
        values[row[often]] = -1
        for place in np.flatnonzero(often).tolist():
            example = subdataset.examples[place]
            if values[row[place]] not in (-1, example.value):
                torn[int(row[place])] = example.path
            values[row[place]] = example.value
        values[list(torn)] = -1
        if torn:
            about = f"labelled differently twice in '{subdataset.attribute.name}': unknown there"
            notes.append(_note(list(torn.values()), about))
        columns.append(label_states(values, len(subdataset.attribute.values)))
    labels = tuple(label for subdataset in subdatasets for label in labels_of(subdataset.attribute))
    return LabelTable(
        tuple(images),
        labels,
        np.concatenate(columns, axis=1),
        tuple(SPLITS[split] for split in splits.tolist()),
        tuple(notes),
    )


def _held_out(
    subdatasets: Sequence[SubDataset], rows: Sequence[NDArray[np.int32]], count: int
) -> tuple[NDArray[np.int64], list[Path]]:
    """The split of each image, the one held out most where several are given, and the files of those."""
    lowest, highest = np.full(count, len(SPLITS)), np.full(count, -1)
    for subdataset, row in zip(subdatasets, rows, strict=True):
        np.minimum.at(lowest, row, subdataset.columns.splits)
        np.maximum.at(highest, row, subdataset.columns.splits)
    moved: dict[int, Path] = {}
    first: dict[int, int] = {}
    for subdataset, row in zip(subdatasets, rows, strict=True):
        given = subdataset.columns.splits
        for place in np.flatnonzero(lowest[row] != highest[row]).tolist():
            image, split = int(row[place]), int(given[place])
            before = first.setdefault(image, split)
            if split != before:
                moved[image] = subdataset.examples[place].path
                first[image] = max(before, split)
    return highest, list(moved.values())


def _note(paths: Sequence[Path], about: str) -> str:
    """How many images, what of them, and the first ones' files."""
    count = "1 image" if len(paths) == 1 else f"{len(paths)} images"
    shown = ", ".join(str(path) for path in paths[:_NAMED])
    return f"{count} {about} ({shown}{', ...' if len(paths) > _NAMED else ''})"
