"""Equal images in a list joined into one, and what their labels and splits then are."""

from collections.abc import Sequence

from subdatasets.imports import ImageList, LabelColumn
from subdatasets.splits import SPLITS


def merged(columns: Sequence[LabelColumn], images: ImageList) -> tuple[list[LabelColumn], ImageList, list[str]]:
    """Columns and images with every path once, in the order of first occurrence, and notes on what was joined.

    A held-out split wins over train (the image would otherwise be trained on and tested), a label over an unknown one;
    contradicting labels leave the image unknown for that attribute.
    """
    index: dict[str, int] = {}
    target = [index.setdefault(str(path), len(index)) for path in images.paths]
    if len(index) == len(target):
        return list(columns), images, []
    first = {kept: row for row, kept in reversed(list(enumerate(target)))}
    once = [first[kept] for kept in range(len(index))]
    splits = [images.splits[row] for row in once]
    crossing: set[int] = set()
    for row, kept in enumerate(target):
        if images.splits[row] != splits[kept]:
            crossing.add(kept)
            splits[kept] = max(splits[kept], images.splits[row], key=SPLITS.index)
    notes = [f"{len(target) - len(index)} images occur more than once and are kept once"]
    if crossing:
        notes.append(f"{len(crossing)} images are in two splits and are kept out of train")
    joined = []
    for column in columns:
        labels, torn = _joined(column.labels, target, len(index))
        joined.append(LabelColumn(column.title, labels, column.required))
        if torn:
            notes.append(f"{torn} images have contradicting labels of '{column.title}' and are left out of it")
    groups = [images.groups[row] for row in once]
    return joined, ImageList([images.paths[row] for row in once], splits, groups), notes


def _joined(labels: Sequence[str | None], target: Sequence[int], size: int) -> tuple[list[str | None], int]:
    result: list[str | None] = [None] * size
    torn: set[int] = set()
    for label, kept in zip(labels, target, strict=True):
        if label is None:
            continue
        if result[kept] is not None and result[kept] != label:
            torn.add(kept)
        result[kept] = label
    for kept in torn:
        result[kept] = None
    return result, len(torn)
