"""Labelled images from memory -> sub-datasets: arrays, torchvision-style data sets, and tables of labels.

Images are written once, below `destination/images/`, and shared by every attribute. Where the same image occurs
several times it is kept once: in test rather than val rather than train, and with no label where its labels disagree;
the summary's notes count these.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, Protocol

from foundation.history import Progress
from subdatasets.attribute import is_unknown
from subdatasets.errors import DataError
from subdatasets.image_files import THREADS
from subdatasets.importing.image_store import ImageLike, check_image_array, store_images
from subdatasets.importing.place import ImageList
from subdatasets.importing.tables import import_table
from subdatasets.importing.write import ImportSummary, LabelColumn, split_names, write_attributes
from subdatasets.splits import FRACTIONS, SPLITS


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


__all__ = ["import_arrays", "import_labels", "import_multiclass", "import_table", "import_torchvision"]


class LabelledImages(Protocol):
    """A torchvision-style data set: `data[i]` is (Pillow image, class number)."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> tuple[Any, Any]: ...


def import_labels(
    images: Iterable[ImageLike],
    labels: Mapping[str, Sequence[object]],
    destination: Path,
    *,
    splits: Sequence[str] | None = None,
    group: Sequence[object] | None = None,
    required: bool = True,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    replace: bool = False,
    threads: int = THREADS,
    progress: Progress | None = None,
) -> ImportSummary:
    """One sub-dataset per entry of `labels`.

    Args:
        images: N images: paths (left where they are), Pillow images, uint8 arrays (H, W[, 1 | 3 | 4]), encoded bytes.
        labels: attribute -> N value names (or 0/1, False/True), None, NaN or blank where unknown.
        destination: the folder to write to.
        splits: N split names; None: they are made, one per image for all attributes.
        group: N group names (None: a group of its own); images of a group share a split.
        required: whether an attribute that cannot be used is an error; otherwise it is skipped with its reason.
        seed: decides over splits that are not given.
        fractions: the shares of train, val and test where splits are not given.
        replace: overwrite sub-datasets of the same name.
        threads: how many images are written at a time.
        progress: hears the stage "images".

    Raises:
        DataError: lengths that differ, an image that is none, or no usable attribute.
    """
    check_image_array(images)
    lengths = {f"the labels of '{name}'": len(column) for name, column in labels.items()}
    if isinstance(images, Sized):
        lengths["the images"] = len(images)
    if splits is not None:
        lengths["the splits"] = len(splits)
        splits = split_names(splits, lambda position: f"image {position}")
    if group is not None:
        lengths["the groups"] = len(group)
    _check_lengths(lengths)
    destination = Path(destination)
    size = next(iter(lengths.values()), 0)
    if not size:
        raise DataError("there are no images to import: give at least three of each value")
    paths = store_images(images, destination / "images", total=size, threads=threads, progress=progress)
    _check_lengths({**lengths, "the images": len(paths)})
    groups: list[str | None] = [None] * size if group is None else [_text(name) for name in group]
    columns = [LabelColumn(title, [_text(each) for each in column], required) for title, column in labels.items()]
    columns, images_once, notes = merged(columns, ImageList(paths, list(splits or [""] * size), groups))
    return write_attributes(
        columns,
        images_once,
        destination,
        where="the imported labels",
        fractions=fractions,
        seed=seed,
        replace=replace,
        notes=notes,
    )


def import_arrays(
    images: Iterable[ImageLike],
    labels: Sequence[int],
    class_names: Sequence[str],
    destination: Path,
    *,
    splits: Sequence[str] | None = None,
    group: Sequence[object] | None = None,
    attributes: Sequence[str] | None = None,
    **options: Any,
) -> ImportSummary:
    """Class numbers to one attribute no/yes per class ("is it this class, or another?").

    Args:
        images: N images, as for `import_labels`; an array (N, H, W[, C]) of uint8 is one way.
        labels: N class numbers, each an index of `class_names`.
        class_names: the classes.
        destination: the folder to write to.
        splits: as for `import_labels`.
        group: as for `import_labels`.
        attributes: the classes to make attributes of; None: all that have enough images.
        **options: `seed`, `fractions`, `replace`, `threads`, `progress`, as for `import_labels`.

    Raises:
        DataError: a label out of range, an unknown class in `attributes`, or as for `import_labels`.
    """
    names = _labels_by_name(labels, class_names)
    unknown = [name for name in attributes or () if name not in class_names]
    if unknown:
        raise DataError(f"there is no class '{unknown[0]}': choose attributes among {', '.join(class_names)}")
    chosen = class_names if attributes is None else attributes
    columns = {name: ["yes" if each == name else "no" for each in names] for name in chosen}
    required = attributes is not None
    return import_labels(images, columns, destination, splits=splits, group=group, required=required, **options)


def import_multiclass(
    images: Iterable[ImageLike],
    labels: Sequence[int],
    class_names: Sequence[str],
    destination: Path,
    *,
    name: str,
    splits: Sequence[str] | None = None,
    group: Sequence[object] | None = None,
    **options: Any,
) -> ImportSummary:
    """Class numbers to ONE attribute `name` whose values are the classes; arguments and errors as `import_arrays`."""
    columns = {name: _labels_by_name(labels, class_names)}
    return import_labels(images, columns, destination, splits=splits, group=group, **options)


def import_torchvision(
    dataset: LabelledImages | Mapping[str, LabelledImages],
    destination: Path,
    *,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    attributes: Sequence[str] | None = None,
    **options: Any,
) -> ImportSummary:
    """A data set of (Pillow image, class number) with `.classes`, such as torchvision's, made without transform.

    Args:
        dataset: one data set, or one per split: `{"train": ..., "test": ...}` (val is then taken out of train).
        destination: the folder to write to.
        name: make ONE attribute of that name with all classes as values; None: one attribute no/yes per class.
        class_names: the classes, where the data set has no `.classes`.
        attributes: as for `import_arrays`; only without `name`.
        **options: as for `import_arrays`, and `group`.

    Raises:
        DataError: no class names, a target that is no class number, or as for `import_arrays`.
    """
    parts = dict(dataset) if isinstance(dataset, Mapping) else {"": dataset}
    classes = class_names or next((getattr(part, "classes", None) for part in parts.values()), None)
    if not classes:
        raise DataError("the data set has no `classes`: give class_names")
    if name is not None and attributes is not None:
        raise DataError("attributes are chosen among one per class: leave out either name or attributes")
    sizes = {split: len(part) for split, part in parts.items()}
    splits = None if "" in parts else [split for split, size in sizes.items() for _ in range(size)]
    if splits is not None:
        split_names(list(parts), lambda position: "the data sets")
    targets: list[int] = []
    folder = Path(destination) / "images"
    storage = {key: options[key] for key in ("threads", "progress") if key in options}
    paths = store_images(_pictures(parts, targets), folder, total=sum(sizes.values()), **storage)
    if name is not None:
        return import_multiclass(paths, targets, classes, destination, name=name, splits=splits, **options)
    return import_arrays(paths, targets, classes, destination, splits=splits, attributes=attributes, **options)


def _pictures(parts: Mapping[str, LabelledImages], targets: list[int]) -> Iterator[ImageLike]:
    """The pictures of all parts in turn; their class numbers are added to `targets` on the way."""
    for split, part in parts.items():
        for index in range(len(part)):
            image, target = part[index]
            try:
                targets.append(int(target))
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"item {index} {f'of {split} ' if split else ''}has the target {target!r:.60}, which is no class "
                    "number: use a data set for classification"
                ) from error
            yield image


def _labels_by_name(labels: Sequence[int], class_names: Sequence[str]) -> list[str]:
    if len(set(class_names)) < len(class_names):
        raise DataError(f"class names {', '.join(class_names)} name one class twice: make them differ")
    names = list(class_names)
    result = []
    for position, label in enumerate(labels):
        try:
            number = int(label)
        except (TypeError, ValueError):
            number = -1
        if number != label or not 0 <= number < len(names):
            raise DataError(f"label {position} is {label}: it must be a class number from 0 to {len(names) - 1}")
        result.append(names[number])
    return result


def _text(label: object) -> str | None:
    """A label or group as text; None where there is none."""
    if label is None:
        return None
    text = str(label).strip()
    # A string may be the name of a class; what is no string and prints as "nan" or "<NA>" is a gap.
    return None if not text or (not isinstance(label, str) and is_unknown(text)) else text


def _check_lengths(lengths: Mapping[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{what}: {size}" for what, size in lengths.items())
        raise DataError(f"the lengths differ ({listed}): give one label, split and group for each image")
