"""Labels of many attributes over one list of images, written as one CSV per attribute: what all importers end in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.files import write_bytes
from subdatasets.attribute import Attribute, attribute_name, attribute_of, contradiction, spellings
from subdatasets.errors import DataError
from subdatasets.reading.problems import SPLIT_NAMES
from subdatasets.splits import SPLITS, multilabel_splits, val_from_train
from subdatasets.subdataset import Example, SubDataset, csv_bytes

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SkippedColumn:
    """A column (or class) that became no attribute, and why."""

    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import made: the sub-datasets written, what was skipped, and notes on images set aside."""

    subdatasets: tuple[SubDataset, ...]
    skipped: tuple[SkippedColumn, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """The labels of one attribute: a value's name per image, None where unknown.

    `required`: the user named the column, so a reason to skip it is an error.
    """

    title: str
    labels: Sequence[str | None]
    required: bool = False


@dataclass(frozen=True, slots=True)
class ImageList:
    """The images that the columns speak of: absolute paths, no two alike; splits are "" where none are given."""

    paths: list[Path]
    splits: list[str]
    groups: list[str | None]


def attribute_names(titles: Sequence[str], where: str) -> dict[str, str]:
    """Title -> attribute name.

    Raises:
        DataError: a title without a letter or digit, or two that become one name (also if only case tells them apart).
    """
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for title in titles:
        name = attribute_name(title)
        if not name:
            raise DataError(f"{where}: '{title}' holds no Latin letter or digit to name an attribute by: rename it")
        other = taken.setdefault(name.casefold(), title)
        if other != title or title in names:
            raise DataError(f"{where}: '{other}' and '{title}' would both be attribute '{name}': rename one of them")
        names[title] = name
    return names


def split_names(splits: Sequence[str | None], where: Callable[[int], str]) -> list[str]:
    """The canonical split of each image; a DataError tells the first that names none."""
    known: dict[str | None, str] = {}
    for position, split in enumerate(splits):
        if split not in known:
            canonical = SPLIT_NAMES.get((split or "").strip().casefold())
            if canonical is None:
                shown = f"there is no split '{split}'" if split else "the split is empty"
                raise DataError(f"{where(position)}: {shown}: write train, val or test for every image, or for none")
            known[split] = canonical
    return [known[split] for split in splits]


def write_attributes(
    columns: Sequence[LabelColumn],
    images: ImageList,
    destination: Path,
    *,
    where: str,
    fractions: Sequence[float],
    seed: int,
    replace: bool,
    skipped: Sequence[SkippedColumn] = (),
    notes: Sequence[str] = (),
) -> ImportSummary:
    """Write `destination/<attribute>.csv` for every usable column; nothing is written before all are known to be right.

    All attributes share one split per image, so that what tests one never trains another (nor the trunk).

    Raises:
        DataError: a required column is unusable, none is usable, or a file with other content is there already.
    """
    names = attribute_names([column.title for column in columns], where)
    left_out = list(skipped)
    coded: list[tuple[LabelColumn, Attribute, Labels]] = []
    for column in columns:
        result = _coded(names[column.title], column)
        if isinstance(result, str):
            _leave_out(column, result, where, left_out)
        else:
            coded.append((column, *result))
    splits = _splits(images, [labels for _, _, labels in coded], fractions, seed)
    subdatasets: list[SubDataset] = []
    for column, attribute, labels in coded:
        reason = _empty_class(attribute, labels, np.asarray(splits), given=bool(images.splits[0]))
        if reason is not None:
            _leave_out(column, reason, where, left_out)
            continue
        known = np.flatnonzero(labels >= 0).tolist()
        examples = (
            Example(images.paths[row], int(labels[row]), splits[row], images.groups[row], line)
            for line, row in enumerate(known, start=2)
        )
        source = destination.absolute() / f"{attribute.name}.csv"
        subdatasets.append(SubDataset(attribute, tuple(examples), source))
    if not subdatasets:
        reasons = "; ".join(f"'{each.column}' {each.reason}" for each in left_out[:5]) or "there is no column of labels"
        raise DataError(f"{where}: no attribute could be made: {reasons}: give one column of labels per attribute")
    _write(subdatasets, replace)
    return ImportSummary(tuple(subdatasets), tuple(left_out), tuple(notes))


def _leave_out(column: LabelColumn, reason: str, where: str, left_out: list[SkippedColumn]) -> None:
    if column.required:
        raise DataError(f"{where}: '{column.title}' {reason}: correct its labels, or do not name it")
    left_out.append(SkippedColumn(column.title, reason))


def _coded(name: str, column: LabelColumn) -> tuple[Attribute, Labels] | str:
    """The attribute and the value index of each image (-1 unknown), or why there is none."""
    known = {label for label in column.labels if label is not None}
    if not known:
        return "is blank in every row"
    canonical = spellings(known)
    values = set(canonical.values())
    if len(values) < 2:
        return f"holds only '{values.pop()}'"
    wrong = contradiction(values)
    if wrong is not None:
        return f"cannot be used: {wrong}"
    attribute = attribute_of(name, values)
    index: dict[str | None, int] = {raw: attribute.values.index(value) for raw, value in canonical.items()}
    index[None] = -1
    return attribute, np.fromiter((index[label] for label in column.labels), np.int64, len(column.labels))


def _splits(images: ImageList, columns: Sequence[Labels], fractions: Sequence[float], seed: int) -> list[str]:
    if not columns:
        return images.splits
    values = np.stack(columns, axis=1)
    if not images.splits[0]:
        return multilabel_splits(values, images.groups, fractions=fractions, seed=seed)
    if "val" not in images.splits and "train" in images.splits and fractions[1] > 0:
        return val_from_train(images.splits, values, images.groups, fractions=fractions, seed=seed)
    return images.splits


def _empty_class(attribute: Attribute, labels: Labels, splits: NDArray[np.str_], *, given: bool) -> str | None:
    """Why a search could not use these splits: train, val, and test if there is one, must hold every value."""
    for split in SPLITS:
        chosen = labels[(splits == split) & (labels >= 0)]
        if split == "test" and not len(chosen):
            continue
        counts = np.bincount(chosen, minlength=len(attribute.values))
        if not counts.all():
            value = int(counts.argmin())
            total = int((labels == value).sum())
            images = "image" if total == 1 else "images"
            need = "" if given else ", and it takes three that may be split, one for each"
            return f"has no '{attribute.values[value]}' in {split} (there are {total} such {images} in all{need})"
    return None


def _write(subdatasets: Sequence[SubDataset], replace: bool) -> None:
    files = {each.source: csv_bytes(each, each.source.parent) for each in subdatasets}
    for path, data in files.items():
        if path.exists() and not replace and (not path.is_file() or path.read_bytes() != data):
            raise DataError(f"{path} is there already and differs: choose another destination, or replace it expressly")
    for path, data in files.items():
        write_bytes(path, data, error=DataError)
