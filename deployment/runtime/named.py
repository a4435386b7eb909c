"""Find the image files that somebody names: files, whole folders, and patterns as a shell has them.

A folder is walked as imports walk theirs (`subdatasets.reading.walk`), which this room cannot ask, for it stands alone.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from deployment.errors import BundleError

# Pillow knows their endings, and would start another program for them, or has no decoder of its own.
NO_PICTURES = ("BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF")
# What systems leave behind, and small copies of the pictures beside them.
SYSTEM_FOLDERS: tuple[str, ...] = (
    "__macosx",
    "@eadir",
    "$recycle.bin",
    "recycler",
    "#recycle",
    "@recycle",
    "#snapshot",
    "lost+found",
)
SYSTEM_FOLDERS += ("system volume information", "__pycache__")
THUMBNAIL_FOLDERS = ("thumbs", "thumb", "thumbnails", "thumbnail", "_thumbs", "_thumbnails", "previews")
LITTER = ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "picasa.ini")


class Named(NamedTuple):
    """The files to read, in the order they were named, those of a folder sorted; what else a folder holds.

    passed_over: how many files. reasons: the same by reason.
    """

    files: list[Path]
    passed_over: int = 0
    reasons: Mapping[str, int] = {}


def named_images(words: Sequence[Path | str]) -> Named:
    """What the words name. A file is taken whatever its ending, and where it is missing: reading it says what is wrong.

    Raises: BundleError where none of them names anything that is there.
    """
    files: list[Path] = []
    reasons: Counter[str] = Counter()
    for word in words:
        path = Path(word)
        if path.is_dir():
            before = reasons.total()
            pictures = sorted(_images_below(path, reasons))
            files += pictures
            if not pictures:
                left = reasons.total() - before
                seen = f" that can be read ({left} files are passed over)" if left else ""
                raise BundleError(f"{path} holds no image{seen}: name a folder of images, or the files themselves")
        elif not os.path.lexists(path) and glob.has_magic(str(word)):
            matching = [Path(name) for name in sorted(glob.glob(str(word), recursive=True))]
            files += [file for file in matching if file.is_file()] or [path]
        else:
            files.append(path)
    if not any(map(os.path.lexists, files)):
        missing = ", ".join(map(str, files[:3]))
        raise BundleError(f"there is no image {missing}: correct the path")
    return Named(files, reasons.total(), dict(reasons))


def _images_below(folder: Path, reasons: Counter[str]) -> Iterator[Path]:
    """Every image in a folder and the folders in it, each entered once; hidden ones and systems' are not looked at."""
    entered = set(map(str, Path(os.path.realpath(folder)).parents))
    endings = _endings()
    for above, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(above)) in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = [name for name in sorted(folders) if not _set_apart(Path(above, name), endings, reasons)]
        for name in names:
            file = Path(above, name)
            pipe = file.exists() and not file.is_file()  # whoever opens one waits for ever
            if name.startswith(".") or name.lower() in LITTER or pipe:
                continue
            if file.suffix.lower() in endings or (not file.suffix.strip(".0123456789") and _begins_as_image(file)):
                yield file
            else:
                reasons[f"files that are no image to be read ({file.suffix.lower() or 'no ending'})"] += 1


def _set_apart(folder: Path, endings: set[str], reasons: Counter[str]) -> bool:
    """Whether a folder is hidden, a system's or one of thumbnails, whose images are counted."""
    name = folder.name.casefold()
    if name.startswith("."):
        return True
    if name not in SYSTEM_FOLDERS and name not in THUMBNAIL_FOLDERS:
        return False
    what = "the system's folder" if name in SYSTEM_FOLDERS else "the folder of thumbnails"
    files = (Path(file) for _, _, files in os.walk(folder) for file in files)
    images = sum(file.suffix.lower() in endings and not file.name.startswith("._") for file in files)
    if images:
        reasons[f"images in {what} '{folder.name}'"] += images
    return True


def _begins_as_image(file: Path) -> bool:
    """Whether a file whose ending says nothing is an image that can be read, by its first bytes."""
    try:
        with Image.open(file, formats=[kind for kind in Image.OPEN if kind not in NO_PICTURES]):
            return True
    except Exception:  # Pillow's decoders answer what is no image with nearly every exception there is
        return False


def _endings() -> set[str]:
    """How files end that Pillow reads by itself."""
    known = Image.registered_extensions()
    return {ending for ending, kind in known.items() if kind in Image.OPEN and kind not in NO_PICTURES}
