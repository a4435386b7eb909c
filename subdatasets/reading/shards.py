"""A sub-dataset in archives: one tar or zip, or a folder of them (shards), read without unpacking.

In folders, `[<split>/]<value>/<images>`, as on disk; or as WebDataset writes them: what belongs to a sample has its
name up to the first dot, and `.cls` or `.txt` beside the image says its value. The split is then the word that a
shard's name begins with (`train-0001.tar`).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from subdatasets.errors import DataError
from subdatasets.files.archives import is_archive, members, read_member
from subdatasets.image_files import SUFFIXES
from subdatasets.reading.problems import SPLIT_NAMES, Reading, Row
from subdatasets.reading.walk import HIDDEN, LITTER, SYSTEM_FOLDERS, THUMBNAIL_FOLDERS

LABELS = (".cls", ".txt")


def shards_of(source: Path) -> list[Path]:
    """The archives that a source consists of; none where it is something else."""
    if is_archive(source):
        return [source]
    if not source.is_dir():
        return []
    inside = sorted(path for path in source.iterdir() if not path.name.startswith("."))
    return inside if inside and all(map(is_archive, inside)) else []


def read_shard_rows(source: Path, shards: Sequence[Path]) -> Reading:
    """A row for each image in the archives; what is passed over is counted.

    Raises:
        DataError: an archive cannot be read.
    """
    reading = Reading(source.name if source.is_dir() else source.stem, source)
    for shard in shards:
        names = [name for name in members(str(shard)) if _is_seen(name, reading)]
        images = [name for name in names if PurePosixPath(name).suffix.casefold() in SUFFIXES]
        labels = {_sample(name): name for name in names if PurePosixPath(name).suffix.casefold() in LABELS}
        if labels:
            _read_samples(reading, shard, images, labels)
        else:
            _read_folders(reading, shard, images)
        others = len(names) - len(images) - len(labels)
        if others:
            reading.pass_over(others, "files that are no image to be read (in archives)")
    return reading


def _is_seen(name: str, reading: Reading) -> bool:
    *folders, last = name.split("/")
    hidden = any(folder.startswith(".") or folder.casefold() in SYSTEM_FOLDERS for folder in folders)
    if hidden or last.startswith(".") or any(folder.casefold() in THUMBNAIL_FOLDERS for folder in folders):
        if PurePosixPath(last).suffix.casefold() in SUFFIXES and not last.startswith("._"):
            reading.pass_over(1, HIDDEN)
        return False
    return last.casefold() not in LITTER


def _sample(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def _read_samples(reading: Reading, shard: Path, images: Sequence[str], labels: Mapping[str, str]) -> None:
    word = re.match(r"[A-Za-z]+", shard.stem)
    split = SPLIT_NAMES.get(word[0].casefold(), "") if word else ""
    for name in images:
        beside = labels.get(_sample(name))
        text = (read_member(f"{shard}/{beside}") or b"").decode("utf-8", "replace").strip() if beside else ""
        if not text or "\n" in text:
            reading.error(f"'{name}' has no label beside it (add '{_sample(name)}.cls' with its value)", file=shard)
            continue
        reading.rows.append(Row(shard / name, text, split, None, None))
        reading.values.add(text)


def _read_folders(reading: Reading, shard: Path, images: Sequence[str]) -> None:
    parts = {name: name.split("/") for name in images}
    tops = {each[0] for each in parts.values()}
    deep = bool(parts) and all(len(each) > 2 for each in parts.values())
    # A zip of a folder has that folder in it.
    wrapped = deep and len(tops) == 1 and not any(top.casefold() in SPLIT_NAMES for top in tops)
    if wrapped:
        parts = {name: each[1:] for name, each in parts.items()}
        tops = {each[0] for each in parts.values()}
    splits = bool(tops) and all(top.casefold() in SPLIT_NAMES for top in tops)
    for name, each in parts.items():
        split = SPLIT_NAMES[each[0].casefold()] if splits else ""
        folders = each[1:-1] if splits else each[:-1]
        if not folders:
            reading.pass_over(1, "images in no value folder, so without a label")
            continue
        label = folders[0].strip()
        reading.rows.append(Row(shard / name, label, split, None, None))
        reading.values.add(label)


def require_archives(source: Path) -> None:
    """Refuse compressed tars in a sentence that says what to do."""
    name = source.name.casefold()
    if source.is_file() and name.endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")):
        raise DataError(f"{source} is compressed as a whole, and cannot be read in places: unpack it, or make a .tar")
