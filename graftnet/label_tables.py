"""Label tables for the command line: read from VOC, COCO or VG-500 files, or joined from a project's sub-datasets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graftnet.answer import text_table
from graftnet.errors import ConfigError
from graftnet.project import Project
from subdatasets.contents import Progress
from subdatasets.multilabel import PRESENT, UNKNOWN, LabelTable, stacked
from subdatasets.multilabel_coco import read_coco
from subdatasets.multilabel_join import join_subdatasets
from subdatasets.multilabel_lists import read_label_lists
from subdatasets.multilabel_voc import read_voc_annotations, read_voc_lists
from subdatasets.reading import SPLIT_NAMES
from subdatasets.subdataset import read_subdataset

_VOC_PARTS = ("train", "val", "trainval", "test")


def project_table(project: Project, attributes: Sequence[str] = (), *, progress: Progress | None = None) -> LabelTable:
    """A project's attributes (all, without those that were mined from others) as one table, joined on image content.

    Raises:
        ConfigError: an attribute that the project lacks, or none at all.
        DataError: a sub-dataset or an image that cannot be read.
    """
    names = list(attributes) or project.questions()
    if not names:
        raise ConfigError(f"{project.data} has no sub-dataset; bring one in with `graftnet data import`.")
    subdatasets = [read_subdataset(project.source(name), seed=project.config.project.seed) for name in names]
    return join_subdatasets(subdatasets, progress=progress)


def foreign_table(
    sources: Sequence[str], images: Sequence[str], index: Path | None = None, names: Path | None = None
) -> LabelTable:
    """A VOC folder, COCO's JSON files or VG-500's lists as one table.

    Args:
        sources: one folder; or files, each `PATH` or `SPLIT=PATH`.
        images: the images' folder, `PATH` for all files, or `SPLIT=PATH` for those of one split.
        index: with lists: the JSON of the labels of each image.
        names: with lists: the labels' names.

    Raises:
        ConfigError: sources that do not go together.
        DataError: files that cannot be read.
    """
    parts = [split_and_path(source) for source in sources]
    if any(path.is_dir() for _, path in parts):
        if len(parts) > 1:
            raise ConfigError("a VOC folder is read alone; give one folder, or several files.")
        return _voc(parts[0][1])
    folders = dict(split_and_path(folder) for folder in images)
    tables = []
    for split, path in parts:
        folder = folders.get(split) or folders.get("")
        if folder is None:
            raise ConfigError(f"there is no folder for the images of {path}; name it with --images.")
        if path.suffix.casefold() == ".json":
            tables.append(read_coco(path, folder.absolute(), split=split))
        elif index is None:
            raise ConfigError(f"{path} is a list of images; name the JSON of their labels with --index.")
        else:
            tables.append(read_label_lists(path, index, folder.absolute(), names=names, split=split))
    return stacked(tables)


def split_and_path(text: str) -> tuple[str, Path]:
    """`train=FILE` as ("train", FILE), `FILE` as ("", FILE).

    Raises:
        ConfigError: what stands before the equals sign is no split, and there is no such file.
    """
    split, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        return "", Path(text)
    if split.casefold() not in SPLIT_NAMES:
        raise ConfigError(f"there is no split '{split}' (in '{text}'); write train=PATH, val=PATH or test=PATH.")
    return SPLIT_NAMES[split.casefold()], Path(path)


def _voc(folder: Path) -> LabelTable:
    """From the class lists where there are any, else from the annotations; trainval only where its parts are not."""
    main = folder / "ImageSets" / "Main"
    parts = [part for part in _VOC_PARTS if any(main.glob(f"*_{part}.txt"))]
    if not parts:
        return read_voc_annotations(folder.absolute())
    if "train" in parts:
        parts = [part for part in parts if part != "trainval"]
    return read_voc_lists(folder.absolute(), parts)


def table_record(table: LabelTable) -> dict[str, Any]:
    """What the command says of a table, for a program."""
    known = (table.states != UNKNOWN).sum(axis=1)
    return {
        "images": len(table),
        "labels": table.counts(),
        "splits": {split: table.splits.count(split) for split in ("train", "val", "test", "") if split in table.splits},
        "images_with_several_known": int((known > 1).sum()),
        "labels_per_image": float((table.states == PRESENT).sum(axis=1).mean()) if len(table) else 0.0,
        "pairs_never_known_together": _pairs_apart(table),
        "notes": list(table.notes),
    }


def table_lines(table: LabelTable) -> list[str]:
    """The same for a person."""
    record = table_record(table)
    head = ("present", " absent", "unknown")
    rows = [(label, *(str(counts[state.strip()]) for state in head)) for label, counts in record["labels"].items()]
    lines = text_table([("label", *head), *rows], "<>>>")
    splits = ", ".join(f"{count} {split or 'without a split'}" for split, count in record["splits"].items())
    several, per_image = record["images_with_several_known"], record["labels_per_image"]
    lines.append(
        f"{len(table)} images ({splits}); {several} with several labels known, {per_image:.2f} present in each."
    )
    if record["pairs_never_known_together"]:
        lines.append(
            f"{record['pairs_never_known_together']} pairs of labels are known together in no image: "
            "their counts can only be estimated."
        )
    return [*lines, *(f"note: {note}" for note in table.notes)]


def _pairs_apart(table: LabelTable) -> int:
    known = (table.states != UNKNOWN).astype(np.float32)
    return int((np.triu(known.T @ known == 0, k=1)).sum())
