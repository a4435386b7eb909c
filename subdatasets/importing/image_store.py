"""Images from memory put on disk, each content once, named by its hash."""

import hashlib
import io
import itertools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from foundation.files import write_bytes
from foundation.history import Progress
from subdatasets.errors import DataError
from subdatasets.image_files import FORMATS, READABLE, THREADS

# A file, a picture, a uint8 array (H, W), (H, W, 1 | 3 | 4) or (bytes,), or the bytes of an encoded image.
ImageLike: TypeAlias = "Path | str | Image.Image | np.ndarray[Any, Any] | bytes"

_WINDOW = 256


def store_images(
    images: Iterable[ImageLike],
    folder: Path,
    *,
    total: int = 0,
    threads: int = THREADS,
    progress: Progress | None = None,
) -> list[Path]:
    """The absolute path of each image, in order; what is not a file already is written to `folder`.

    Pixels are written as PNG, encoded images of one of FORMATS as they are, other encodings as PNG; the file's name is
    the SHA-256 of its bytes, so equal images share one file. Images are taken from the iterable one by one, in order,
    by the calling thread.

    Raises:
        DataError: a file that is missing, bytes that are no image, an array of another type or shape; by position.
    """
    paths: list[Path] = []
    numbered = enumerate(images)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        while window := list(itertools.islice(numbered, _WINDOW)):
            paths.extend(pool.map(lambda item: _store(item[1], item[0], folder), window))
            if progress is not None:
                progress("images", len(paths), max(total, len(paths)), {})
    return paths


def check_image_array(images: object) -> None:
    """Refuse an array of images (N, H, W[, C]) whose type or layout is another, before a single file is written."""
    if not isinstance(images, np.ndarray) or images.dtype == object:
        return
    if images.ndim not in (3, 4):
        raise DataError(f"the image array has shape {images.shape}: give it as (N, H, W) or (N, H, W, channels)")
    if len(images):
        _check_pixels(images[0], "the image array's first image")


def _store(image: ImageLike, position: int, folder: Path) -> Path:
    if isinstance(image, str | Path):
        path = Path(image).absolute()
        if not path.is_file():
            raise DataError(f"image {position}: there is no file {path}: correct the path, or leave it out")
        return path
    data, suffix = _encoded(image, f"image {position}")
    path = folder.absolute() / f"{hashlib.sha256(data).hexdigest()}{suffix}"
    if not (path.is_file() and path.stat().st_size == len(data)):
        write_bytes(path, data, durable=False, error=DataError)
    return path


def _encoded(image: object, name: str) -> tuple[bytes, str]:
    if isinstance(image, Image.Image):
        return _png(image), ".png"
    if isinstance(image, np.ndarray) and image.ndim != 1:
        _check_pixels(image, name)
        return _png(Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[2:] == (1,) else image))), ".png"
    if isinstance(image, np.ndarray) and image.dtype != np.uint8:
        raise DataError(f"{name} is an array of {image.dtype}: give encoded bytes as uint8")
    if not isinstance(image, bytes | bytearray | memoryview | np.ndarray):
        kind = type(image).__name__
        raise DataError(
            f"{name} is a {kind}: give a path, a Pillow image, a uint8 array or encoded bytes (of a torchvision data "
            "set: leave out the transform)"
        )
    data = bytes(image)
    try:
        with Image.open(io.BytesIO(data), formats=READABLE) as opened:
            suffixes = FORMATS.get(opened.format or "")
            return (data, suffixes[0]) if suffixes else (_png(opened), ".png")
    except Exception as error:  # Pillow's decoders answer broken files with nearly every exception there is
        raise DataError(f"{name} holds {len(data)} bytes that are no image: replace it, or leave it out") from error


def _png(image: Image.Image) -> bytes:
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _check_pixels(pixels: np.ndarray[Any, Any], name: str) -> None:
    if pixels.dtype != np.uint8:
        raise DataError(f"{name} is an array of {pixels.dtype}: scale it to 0..255 and make it uint8")
    if 0 in pixels.shape or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))):
        raise DataError(
            f"{name} is an array of shape {pixels.shape}: give it as (height, width) or (height, width, 1, 3 or 4)"
        )
