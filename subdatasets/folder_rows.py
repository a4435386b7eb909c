"""The folder form of a sub-dataset: `<split>/<value>/<images>` (torchvision's ImageFolder) or `<value>/<images>`."""

import os
from collections.abc import Iterator
from pathlib import Path

from subdatasets.reading import SPLIT_NAMES, Reading, Row

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
# Files that systems leave behind; they are no one's mistake.
_LITTER = ("thumbs.db", "desktop.ini")


def read_folder_rows(source: Path) -> Reading:
    """Read every image below a value folder, in sorted order, and record what lies elsewhere or is no image.

    Sub-folders of a value folder belong to it; symbolic links are followed, each folder once; names that begin with a
    dot are passed over. Splits may also be called training, valid, validation, testing.
    """
    reading = Reading(source.name, source)
    folders = _folders(source)
    splits = [folder for folder in folders if folder.name.casefold() in SPLIT_NAMES and _folders(folder)]
    if not splits:
        if folders and all(folder.name.casefold() in SPLIT_NAMES for folder in folders):
            reading.error("its split folders hold no value folders (sort the images into <split>/<value>/)")
        else:
            _read_values(reading, source, "")
        return reading
    _warn_of_loose_images(reading, source)
    seen: dict[str, Path] = {}
    for folder in folders:
        split = SPLIT_NAMES.get(folder.name.casefold())
        if split is None:
            reading.error("the folder lies among split folders but names no split (move or rename it)", file=folder)
        elif seen.setdefault(split, folder) != folder:
            message = f"the folder names the same split as '{seen[split].name}' (join the two)"
            reading.error(message, file=folder)
        else:
            _read_values(reading, folder, split)
    return reading


def _read_values(reading: Reading, folder: Path, split: str) -> None:
    _warn_of_loose_images(reading, folder)
    for value in _folders(folder):
        label = value.name.strip()
        reading.values.add(label)
        others: list[Path] = []
        for path in _files(value):
            if path.suffix.lower() in SUFFIXES:
                reading.rows.append(Row(path, label, split, None, None))
            elif path.name.lower() not in _LITTER:
                others.append(path)
        if others:
            known = " ".join(suffix[1:] for suffix in SUFFIXES)
            reason = f"names that end in none of {known}: left out"
            reading.warning(_many(others, "file", reason), file=value)


def _warn_of_loose_images(reading: Reading, folder: Path) -> None:
    with os.scandir(folder) as entries:
        visible = (Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_file())
        loose = sorted(path for path in visible if path.suffix.lower() in SUFFIXES)
    if loose:
        reading.warning(_many(loose, "image", "no value folder, so no label: left out"), file=folder)


def _many(paths: list[Path], noun: str, reason: str) -> str:
    names = ", ".join(f"'{path.name}'" for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    return f"{len(paths)} {noun}{'' if len(paths) == 1 else 's'} with {reason} ({names})"


def _folders(folder: Path) -> list[Path]:
    """The visible folders in a folder, sorted by name."""
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_dir())


def _files(folder: Path) -> Iterator[Path]:
    """The visible files below a folder, sorted by name in each; links to a folder already entered are not followed."""
    entered: set[str] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(root, name)
