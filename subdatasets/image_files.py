"""Image files: which they are, their hashes and their pixels."""

import hashlib
import io
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from foundation.history import Progress
from subdatasets.errors import DataError
from subdatasets.files.memory import FileMemory, Seen
from subdatasets.files.remote import url_of
from subdatasets.files.stamps import ABSENT, Stamp
from subdatasets.files.store import Bytes, read, stamps_of

# Pillow's name -> how files of it end, the usual ending first: what importers write as it is, and bundles read.
FORMATS = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
}
# What Pillow lists among its formats and is no picture file to learn from: EPS starts another program on whatever the
# file says, WMF is read on Windows alone, the others are containers that Pillow only recognises.
_BARRED = ("EPS", "WMF", "MPEG", "HDF5", "GRIB", "BUFR", "IPTC")
Image.init()
# Every format that this Pillow reads, the usual ones first, for it tries them in this order.
READABLE = (*(name for name in FORMATS if name in Image.OPEN), *sorted({*Image.OPEN} - {*FORMATS} - {*_BARRED}))
# How files end that lie in a folder as images: what the formats above are called, in any case.
SUFFIXES = tuple(sorted(suffix for suffix, name in Image.registered_extensions().items() if name in READABLE))
THREADS = 8
_CHUNK = 32
_NAMED = 100  # missing images, in one sentence
_ORIENTATION = 0x0112  # the tag of EXIF; from 5 on it turns a picture by a quarter
_Result = TypeVar("_Result")
# (width, height) of an upright picture -> the least that it must still have where it is decoded at a smaller scale.
Enough = Callable[[tuple[int, int]], tuple[int, int]]


# The content hash of an image file (None: it cannot be read) and what is wrong with it (None: nothing).
Inspection = tuple[str | None, str | None]


def content_hash(path: Path) -> str:
    """SHA-256 of the file's bytes, 64 hexadecimal digits.

    Raises:
        DataError: the file is missing or cannot be read.
    """
    return hashlib.sha256(_bytes(path)).hexdigest()


def content_hashes(
    paths: Iterable[Path],
    *,
    threads: int = THREADS,
    progress: Progress | None = None,
    memory: FileMemory | None = None,
) -> dict[Path, str]:
    """`content_hash` of every distinct path, in the order they first occur.

    Args:
        paths: of images.
        threads: how many files are read at a time.
        progress: hears the stage "images".
        memory: files that it knows are not read, and others become known to it; None: all are read.
    """
    distinct = list(dict.fromkeys(paths))
    asked, stamps = _asked(distinct)
    missing = [path for path, stamp in zip(distinct, stamps, strict=True) if stamp == ABSENT]
    if len(missing) > 1:
        names = ", ".join(map(str, missing[:_NAMED]))
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise DataError(f"there are no images {names}{more}: correct the paths, or leave these {len(missing)} out")
    contents, _ = _over_known(_hashed, distinct, (asked, stamps), threads, progress, memory)
    return dict(zip(distinct, contents, strict=True))


def contents_if_read(paths: Sequence[Path], *, memory: FileMemory | None = None) -> list[str]:
    """`content_hash` of each path, "" where it cannot be read; `memory` as for `content_hashes`."""
    return _over_known(_hashed_if_read, paths, _asked(paths), THREADS, None, memory)[0]


def inspect_images(
    paths: Sequence[Path],
    *,
    threads: int = THREADS,
    progress: Progress | None = None,
    memory: FileMemory | None = None,
) -> dict[Path, Inspection]:
    """The content hash of each file and what is wrong with its image; every one is decoded, but for those known.

    Args:
        paths: no two alike.
        threads: how many files are read at a time.
        progress: hears the stage "images".
        memory: files that it knows the verdict of are not read; others become known to it.
    """
    contents, wrongs = _over_known(_inspected, paths, _asked(paths), threads, progress, memory)
    return {
        path: (content or None, wrongs.get(row))
        for row, (path, content) in enumerate(zip(paths, contents, strict=True))
    }


# What is found in a file (None: it cannot be read), its stamp (`ABSENT`: it changed meanwhile), when that was taken.
_Found = tuple[Seen | None, Stamp, int]


def _asked(paths: Sequence[Path]) -> tuple[int, list[Stamp]]:
    """When (ns) the stamps of these files were taken, and the stamps."""
    return time.time_ns(), stamps_of(map(str, paths))


def _over_known(
    look: Callable[[Path], _Found],
    paths: Sequence[Path],
    asked: tuple[int, Sequence[Stamp]],
    threads: int,
    progress: Progress | None,
    memory: FileMemory | None,
) -> tuple[list[str], dict[int, str]]:
    """The content hash of each file ("" where it cannot be read), and row -> what is wrong; `look` at those unknown."""
    began, stamps = asked
    contents, wrongs, unknown = [""] * len(paths), dict[int, str](), list(range(len(paths)))
    if memory is not None:
        recalled = memory.recall(list(map(str, paths)), stamps, checked=look is _inspected)
        contents, wrongs = recalled.contents(), dict(recalled.wrongs)
        unknown = np.flatnonzero(~recalled.known).tolist()
    files = [paths[row] for row in unknown]
    results = over_files(look, files, threads=threads, progress=progress, before=len(paths) - len(files))
    with memory.learning() if memory is not None else nullcontext() as learning:
        for row, (seen, stamp, when) in zip(unknown, results, strict=True):
            contents[row] = seen.content if seen else ""
            wrong = seen.wrong if seen else "is missing or cannot be read"
            if wrong is not None:
                wrongs[row] = wrong
            if learning is not None and seen is not None:
                if stamp == ABSENT and url_of(str(paths[row])):  # of objects only what was listed before is known
                    stamp, when = stamps[row], began
                learning.take(str(paths[row]), stamp, when, seen)
    return contents, wrongs


def _hashed(path: Path) -> _Found:
    data, stamp, when = _stamped(path)
    return Seen(hashlib.sha256(data).hexdigest()), stamp, when


def _hashed_if_read(path: Path) -> _Found:
    try:
        return _hashed(path)
    except DataError:
        return None, ABSENT, 0


def _inspected(path: Path) -> _Found:
    try:
        data, stamp, when = _stamped(path)
    except DataError:
        return None, ABSENT, 0
    digest = hashlib.sha256(data).hexdigest()
    try:
        return Seen(digest, decode_image(data).size, None, checked=True), stamp, when
    except DataError as error:
        return Seen(digest, (0, 0), str(error), checked=True), stamp, when


def opened(path: Path) -> Image.Image:
    """The image of a file as Pillow opens it, not decoded yet; raises what Pillow does, or a DataError."""
    return Image.open(path if path.is_file() else io.BytesIO(_bytes(path)), formats=READABLE)


def is_image_file(path: Path) -> bool:
    """Whether a file in a folder counts as an image: by its ending, or where that says nothing by how it begins."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or suffix in _OTHER_SUFFIXES:
        return suffix in SUFFIXES
    try:
        with Image.open(path, formats=READABLE):
            return True
    except Exception:  # Pillow's decoders answer what is no image with nearly every exception there is
        return False


# Endings of files that often lie beside images; they are not opened to see what they are.
_OTHER_ENDINGS = """
    txt csv tsv json jsonl xml html htm md yaml yml toml ini log db py ipynb sh pdf doc docx xls xlsx zip gz tar 7z rar
    npy npz pt pth pkl mat h5 hdf5 parquet mp4 mov avi mkv webm mp3 wav heic heif cr2 cr3 nef arw dng raf orf rw2 svg
    eps ps ai wmf emf part tmp bak xmp aae exe url lnk
"""
_OTHER_SUFFIXES = frozenset(f".{ending}" for ending in _OTHER_ENDINGS.split())


def read_image(path: Path, *, white: int | None = None, enough: Enough | None = None) -> Image.Image:
    """The image of a file, fully decoded, upright (EXIF), mode RGB.

    Transparent pixels are laid over black (the background that segmentation leaves), 16-bit grey is scaled to 8 bits,
    of an animation the first frame is taken.

    Args:
        path: the file.
        white: what is white in grey pictures of 16 or 32 bits, 1023 for cameras of 10 bits; None: 65535, or in files of
            32 bits without a value above 255 that.
        enough: JPEGs are decoded at the smallest of libjpeg's scales that leaves so much; None: at their own size.

    Raises:
        DataError: the file is missing, truncated, no image, or holds pixels without a known range.
    """
    data = _bytes(path)
    try:
        return decode_image(data, white=white, enough=enough)
    except DataError as error:
        raise DataError(f"{path} {error}: replace the file, or leave it out") from error


def decode_image(data: bytes, *, white: int | None = None, enough: Enough | None = None) -> Image.Image:
    """The image encoded in `data`, as `read_image` gives it; a DataError's message begins after the file's name."""
    if not data:
        raise DataError("is empty")
    try:
        with Image.open(io.BytesIO(data), formats=READABLE) as image:
            if enough is not None:
                _at_scale(image, enough)
            image.load()
            return _as_rgb(_upright(image), white)
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise DataError("is not an image of a known format") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"is too large to be an image for classification ({error})") from error
    except Exception as error:  # Pillow's decoders answer broken files with nearly every exception there is
        raise DataError(f"is a truncated or damaged image ({error or type(error).__name__})") from error


def over_files(
    function: Callable[[Path], _Result],
    paths: Sequence[Path],
    *,
    threads: int = THREADS,
    progress: Progress | None = None,
    before: int = 0,
) -> Iterator[_Result]:
    """`function` of each path, in order, worked out by threads in small chunks; the first exception ends it.

    before: how many more files count as done in what `progress` hears.
    """
    remaining = iter(paths)
    chunks = iter(lambda: list(itertools.islice(remaining, _CHUNK)), [])
    done = before
    with ThreadPoolExecutor(max(1, threads)) as pool:
        # A window of chunks instead of pool.map: an exception then leaves few chunks to wait for, not all of them.
        while window := list(itertools.islice(chunks, 4 * max(1, threads))):
            for results in pool.map(lambda chunk: [function(path) for path in chunk], window):
                yield from results
                done += len(results)
                if progress is not None:
                    progress("images", done, before + len(paths), {})


def _bytes(path: Path) -> bytes:
    return _stamped(path).data


def _stamped(path: Path) -> Bytes:
    return read(str(path))


def _at_scale(image: Image.Image, enough: Enough) -> None:
    """Have a JPEG decoded at the smallest scale that leaves enough; other formats know no scales."""
    turned = _orientation(image) >= 5
    width, height = image.size
    least = enough((height, width) if turned else (width, height))
    image.draft(None, (max(1, least[turned]), max(1, least[not turned])))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return value if isinstance(value, int) else 1


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block says nothing about the pixels, which are already decoded
        return image


def _as_rgb(image: Image.Image, white: int | None) -> Image.Image:
    if image.mode == "F":
        raise DataError("holds floating-point pixels, whose range is unknown (save it with 8 bits per channel)")
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.int64)
        if white is None:
            white = 65535 if image.mode != "I" or grey.max(initial=0) > 255 else 255
        image = Image.fromarray((np.clip(grey, 0, white) * 255 // white).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image.convert("RGB") if image.mode != "RGB" else image.copy()
