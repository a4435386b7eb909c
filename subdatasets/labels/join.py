"""Sub-datasets of many attributes joined into one label table, on what is inside the image files.

Sub-datasets come one by one, often with their own copies of the same photos; an image is one row, whatever its files
are called. What a sub-dataset does not label stays unknown.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

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
        paths = [example.path for subdataset in subdatasets for example in subdataset.examples]
        hashes = content_hashes(paths, progress=progress)
    images: dict[str, Path] = {}
    splits: dict[str, str] = {}
    moved: dict[str, Path] = {}
    for subdataset in subdatasets:
        for example in subdataset.examples:
            content = hashes[example.path]
            images.setdefault(content, example.path)
            split = splits.setdefault(content, example.split)
            if split != example.split:
                moved[content] = example.path
                splits[content] = max(split, example.split, key=SPLITS.index)
    notes = [_note(list(moved.values()), "in two splits: held out, not in train")] if moved else []
    row = {content: number for number, content in enumerate(images)}
    columns = []
    for subdataset in subdatasets:
        values = np.full(len(row), -1, dtype=np.int64)
        torn: dict[int, Path] = {}
        for example in subdataset.examples:
            number = row[hashes[example.path]]
            if values[number] not in (-1, example.value):
                torn[number] = example.path
            values[number] = example.value
        values[list(torn)] = -1
        if torn:
            about = f"labelled differently twice in '{subdataset.attribute.name}': unknown there"
            notes.append(_note(list(torn.values()), about))
        columns.append(label_states(values, len(subdataset.attribute.values)))
    labels = tuple(label for subdataset in subdatasets for label in labels_of(subdataset.attribute))
    return LabelTable(
        tuple(images.values()),
        labels,
        np.concatenate(columns, axis=1),
        tuple(splits[content] for content in images),
        tuple(notes),
    )


def _note(paths: Sequence[Path], about: str) -> str:
    """How many images, what of them, and the first ones' files."""
    count = "1 image" if len(paths) == 1 else f"{len(paths)} images"
    shown = ", ".join(str(path) for path in paths[:_NAMED])
    return f"{count} {about} ({shown}{', ...' if len(paths) > _NAMED else ''})"
