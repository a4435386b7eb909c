"""Walk a folder of the user's: the images in it, and by reason what is passed over.

Each command that is given a folder walks it so. `deployment.runtime.named`, which stands alone, does the same in its
own words; a test compares the two.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from subdatasets.image_files import SUFFIXES, is_image_file
from subdatasets.reading.problems import Reading

# Files that systems leave behind; they are no one's mistake.
LITTER = ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "picasa.ini")
# Folders of systems, and of small copies; what lies in them is no example, and their name no value.
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
HIDDEN = "hidden images, whose names begin with a dot"
NOWHERE = "links that lead nowhere"


def images_below(folder: Path, reading: Reading, *, besides: Collection[Path] = ()) -> Iterator[Path]:
    """The images in a folder and all folders in it, sorted by name in each; `reading` counts what is passed over.

    Symbolic links are followed, each folder once; what is hidden, a system's or a folder of thumbnails is not entered.

    Args:
        folder: where to look.
        reading: hears what is passed over, and where files were that are no image.
        besides: folders that are not entered, and not counted either.
    """
    others: list[Path] = []
    entered = {os.path.realpath(path) for path in besides}
    # A link to a folder above leads to everything beside this one, which may be another value's.
    entered |= set(map(str, Path(os.path.realpath(folder)).parents))
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not set_apart(Path(root, name), reading, thumbnails=True))
        for name in sorted(files):
            path = Path(root, name)
            # Whoever opens a pipe waits for ever; a link that leads nowhere is taken: an import leaves it out, but of a
            # sub-dataset an image would be missing, with its label.
            pipe = path.exists() and not path.is_file()
            if is_hidden(path, reading) or name.lower() in LITTER or pipe:
                continue
            if is_image_file(path):
                yield path
            else:
                others.append(path)
                reading.pass_over(1, f"files that are no image to be read ({path.suffix.lower() or 'no ending'})")
    if others:
        reading.warning(many(others, "file", "no image in them that can be read: left out"), file=folder)


def folders_in(folder: Path, reading: Reading | None = None) -> list[Path]:
    """The visible folders in a folder that may be values or splits, sorted by name; `reading` hears of the others."""
    found = sorted(path for path in folder.iterdir() if path.is_dir())
    copies = {path for path in found if path.name.casefold() in THUMBNAIL_FOLDERS and _only_copies(path, found)}
    return [path for path in found if not set_apart(path, reading, thumbnails=path in copies)]


def loose_images(folder: Path, reading: Reading) -> list[Path]:
    """The images that lie in a folder itself, sorted."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [path for path in files if not is_hidden(path, reading) and is_image_file(path)]


def leave_out_nowhere(paths: Iterable[Path], reading: Reading) -> frozenset[Path]:
    """Those of the paths that are links to nothing, or to themselves; `reading` counts them."""
    lost = [path for path in paths if path.is_symlink() and not path.exists()]
    if lost:
        reading.pass_over(len(lost), NOWHERE)
        reading.warning(many(lost, "link", "nothing at the other end: left out"))
    return frozenset(lost)


def is_hidden(path: Path, reading: Reading) -> bool:
    """Whether a file is not to be seen; an image is counted, "._x.jpg" is no copy of one but macOS's notes."""
    if not path.name.startswith("."):
        return False
    if path.suffix.lower() in SUFFIXES and not path.name.startswith("._"):
        reading.pass_over(1, HIDDEN)
    return True


def set_apart(folder: Path, reading: Reading | None, *, thumbnails: bool) -> bool:
    """Whether a folder is hidden, a system's or, where there may be such, one of thumbnails; its images are counted."""
    name = folder.name.casefold()
    if name.startswith("."):
        reason = f"in the hidden folder '{folder.name}'"
    elif name in SYSTEM_FOLDERS:
        reason = f"in the system's folder '{folder.name}'"
    elif thumbnails and name in THUMBNAIL_FOLDERS:
        reason = f"in the folder of thumbnails '{folder.name}'"
    else:
        return False
    images = sum(_names(folder).values()) if reading is not None else 0
    if reading is not None and images:
        reading.pass_over(images, f"images {reason}")
        reading.warning(f"{images} image{'' if images == 1 else 's'} {reason}: left out", file=folder)
    return True


def many(paths: list[Path], noun: str, reason: str) -> str:
    """How many files there are of which something is to be said, with the first names."""
    names = ", ".join(f"'{path.name}'" for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    return f"{len(paths)} {noun}{'' if len(paths) == 1 else 's'} with {reason} ({names})"


def _names(folder: Path) -> Counter[str]:
    """How often each name, without ending and case, is an image's in a folder and all folders in it."""
    return Counter(
        Path(file).stem.casefold()
        for _, _, files in os.walk(folder)
        for file in files
        if Path(file).suffix.lower() in SUFFIXES and not file.startswith("._")
    )


def _only_copies(folder: Path, beside: list[Path]) -> bool:
    """Whether all images of a folder have the name of one in the folders beside it: "thumbs" may be a value too."""
    names = _names(folder)
    others = set().union(*(_names(path) for path in beside if path != folder))
    return bool(names) and names.keys() <= others
