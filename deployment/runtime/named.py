"""Find the image files that somebody names: files, whole folders, and patterns as a shell has them."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from deployment.errors import BundleError

# Pillow knows their endings, and would start another program for them, or has no decoder of its own.
NO_PICTURES = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF")


class Named(NamedTuple):
    """The files to read, in the order they were named, those of a folder sorted; `passed_over` counts its others."""

    files: list[Path]
    passed_over: int = 0


def named_images(words: Sequence[Path | str]) -> Named:
    """What the words name. A file is taken whatever its ending, and where it is missing: reading it says what is wrong.

    Raises: BundleError where none of them names anything that is there.
    """
    files: list[Path] = []
    passed_over = 0
    for word in words:
        path = Path(word)
        if path.is_dir():
            inside = _files_below(path)
            pictures = [file for file in inside if file.suffix.lower() in _endings()]
            files += pictures
            passed_over += len(inside) - len(pictures)
            if not pictures:
                raise BundleError(f"{path} holds no image: name a folder of images, or the files themselves")
        elif not os.path.lexists(path) and glob.has_magic(str(word)):
            matching = [Path(name) for name in sorted(glob.glob(str(word), recursive=True))]
            files += [file for file in matching if file.is_file()] or [path]
        else:
            files.append(path)
    if not any(map(os.path.lexists, files)):
        missing = ", ".join(map(str, files[:3]))
        raise BundleError(f"there is no image {missing}: correct the path")
    return Named(files, passed_over)


def _files_below(folder: Path) -> list[Path]:
    """Every file that is not hidden, nor in a hidden folder, sorted."""
    found = []
    for above, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(above, name) for name in names if not name.startswith(".")]
    return sorted(file for file in found if file.is_file())


def _endings() -> set[str]:
    """How files end that Pillow reads by itself."""
    known = Image.registered_extensions()
    return {ending for ending, kind in known.items() if kind in Image.OPEN and kind not in NO_PICTURES}
