"""PASCAL VOC's labels as a table: an object that is there only as "difficult" counts as unknown.

The PASCAL Visual Object Classes Challenge 2007, development kit, sections 2 and 3.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from foundation.records import leads_down
from subdatasets.errors import DataError
from subdatasets.labels.table import ABSENT, PRESENT, UNKNOWN, LabelTable, stacked

# What VOC's lists write: 1 present, 0 difficult only, -1 absent.
_LISTED = {"1": PRESENT, "0": UNKNOWN, "-1": ABSENT}
_SPLITS = {"train": "train", "val": "val", "trainval": "train", "test": "test"}


def read_voc_lists(folder: Path, parts: Sequence[str] = ("train", "val", "test")) -> LabelTable:
    """Labels from `ImageSets/Main/CLASS_PART.txt`, images `JPEGImages/ID.jpg`; trainval is split "train".

    Args:
        folder: VOC2007 of a VOCdevkit.
        parts: "train", "val", "test", or "trainval" in place of the first two.

    Raises:
        DataError: no such files, a line that cannot be read, classes that list different images, or an unknown part.
    """
    return stacked([_listed(folder, part) for part in _checked(parts)])


def read_voc_annotations(folder: Path, parts: Sequence[str] | None = None) -> LabelTable:
    """Labels from `Annotations/ID.xml`, of the images that `ImageSets/Main/PART.txt` lists.

    A label is present where any object of that name is not difficult, unknown where all are, else absent. The labels
    are the names found in any of the files read, in alphabetical order.

    Args:
        folder: VOC2007 of a VOCdevkit, or a folder of that form.
        parts: as `read_voc_lists`; None: every file of Annotations, without splits.

    Raises:
        DataError: a file that is missing or no annotation, or an unknown part.
    """
    if parts is None:
        names = sorted(path.stem for path in (folder / "Annotations").glob("[!.]*.xml"))
        if not names:
            raise DataError(f"{folder} has no Annotations/*.xml: give a folder of VOC's form")
        splits = [""] * len(names)
    else:
        listed = [(name, _SPLITS[part]) for part in _checked(parts) for name in _names(folder, part)]
        names, splits = [name for name, _ in listed], [split for _, split in listed]
    images = _images(folder, names)
    objects = [_objects(folder / "Annotations" / f"{name}.xml") for name in names]
    labels = sorted({label for shown in objects for label in shown})
    if not labels:
        raise DataError(f"{folder / 'Annotations'} names no object in {len(names)} files: give annotated images")
    column = {label: number for number, label in enumerate(labels)}
    states = np.full((len(names), len(labels)), ABSENT, dtype=np.int8)
    for row, shown in enumerate(objects):
        for label, state in shown.items():
            states[row, column[label]] = state
    return LabelTable(images, tuple(labels), states, tuple(splits))


def _checked(parts: Sequence[str]) -> Sequence[str]:
    wrong = next((part for part in parts if part not in _SPLITS), None)
    if wrong is not None or not parts:
        raise DataError(f"there is no part '{wrong or ''}' of VOC: use some of {', '.join(_SPLITS)}")
    return parts


def _images(folder: Path, names: Sequence[str]) -> tuple[Path, ...]:
    for name in names:
        if not leads_down(name):
            raise DataError(f"{folder} lists the image {name[:80]!r}, which does not lie in it: repair its lists")
    return tuple(folder / "JPEGImages" / f"{name}.jpg" for name in names)


def _names(folder: Path, part: str) -> list[str]:
    file = folder / "ImageSets" / "Main" / f"{part}.txt"
    try:
        return file.read_text(encoding="utf-8").split()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}): give a folder of VOC's form with {part}") from error


def _listed(folder: Path, part: str) -> LabelTable:
    files = sorted((folder / "ImageSets" / "Main").glob(f"[!.]*_{part}.txt"))
    if not files:
        raise DataError(
            f"{folder} has no ImageSets/Main/CLASS_{part}.txt: give the VOC2007 folder of a VOCdevkit with {part}"
        )
    names: list[str] = []
    columns: list[list[int]] = []
    for file in files:
        rows = []
        for line, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            cells = text.split()
            if cells and (len(cells) != 2 or cells[1] not in _LISTED):
                raise DataError(f"{file}, line {line} is not 'IMAGE 1', 'IMAGE 0' or 'IMAGE -1': repair it")
            if cells:
                rows.append(cells)
        if columns and [name for name, _ in rows] != names:
            raise DataError(f"{file} lists other images than {files[0].name}: repair the folder")
        names = [name for name, _ in rows]
        columns.append([_LISTED[state] for _, state in rows])
    labels = tuple(file.name.removesuffix(f"_{part}.txt") for file in files)
    states = np.array(columns, dtype=np.int8).T
    return LabelTable(_images(folder, names), labels, states, (_SPLITS[part],) * len(names))


def _objects(file: Path) -> dict[str, int]:
    """Each label of an annotation and whether it is PRESENT or, difficult only, UNKNOWN."""
    try:
        root = ElementTree.fromstring(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}): every listed image needs its annotation") from error
    except ElementTree.ParseError as error:
        raise DataError(f"{file} is no XML ({error}): repair it") from error
    states: dict[str, int] = {}
    for each in root.iter("object"):
        name = (each.findtext("name") or "").strip()
        if not name:
            raise DataError(f"{file} has an object without a name: repair it")
        difficult = (each.findtext("difficult") or "0").strip() == "1"
        if not difficult or name not in states:
            states[name] = UNKNOWN if difficult else PRESENT
    return states
