"""Read image files to what an exported trunk reads, with numpy and Pillow alone.

The pixels are those that the toolkit trains on: upright, transparent parts over black, 16-bit grey scaled to 8 bits.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from deployment.errors import BundleError

INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class Format(NamedTuple):
    """An image format: its name, how its files end, what HTTP calls it, and the bytes that it begins with."""

    name: str
    suffixes: tuple[str, ...]
    media_type: str
    beginning: bytes


# What strangers may send, by Pillow's name. Files that the user names himself may be whatever Pillow reads.
FORMATS: Mapping[str, Format] = {
    "JPEG": Format("JPEG", (".jpg", ".jpeg"), "image/jpeg", b"\xff\xd8\xff"),
    "PNG": Format("PNG", (".png",), "image/png", b"\x89PNG"),
    "WEBP": Format("WebP", (".webp",), "image/webp", b"RIFF"),
    "GIF": Format("GIF", (".gif",), "image/gif", b"GIF8"),
    "BMP": Format("BMP", (".bmp",), "image/bmp", b"BM"),
}
MEDIA_TYPES = tuple(kind.media_type for kind in FORMATS.values())
*_FIRST, _LAST = (kind.name for kind in FORMATS.values())
FORMAT_NAMES = f"{', '.join(_FIRST)} or {_LAST}"


def read_normalised(path: Path, preprocessing: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """One image file -> float32 (3, S, S), resized to a square and normalised as `preprocessing` says.

    Raises: BundleError naming the file when it is missing or no whole image.
    """
    try:
        with Image.open(path) as opened:
            return normalised(pixels_of(opened), preprocessing)
    except FileNotFoundError as error:
        raise BundleError(f"there is no image {path}: correct the path") from error
    except Exception as error:  # Pillow's decoders answer broken files with nearly every exception there is
        raise BundleError(f"{path} cannot be read as an image ({error}): replace the file") from error


def pixels_of(opened: Image.Image) -> Image.Image:
    """An opened image, decoded: upright, mode RGB; of an animation the first frame. Raises what Pillow raises."""
    opened.load()
    return _as_rgb(_upright(opened))


def normalised(image: Image.Image, preprocessing: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """An RGB image -> float32 (3, S, S), resized to a square and normalised as `preprocessing` says."""
    size = preprocessing["size"]
    if image.size != (size, size):
        image = image.resize((size, size), INTERPOLATIONS[preprocessing["interpolation"]])
    mean, deviation = (np.asarray(preprocessing[key], dtype=np.float32) * 255 for key in ("mean", "std"))
    pixels = (np.asarray(image, dtype=np.float32) - mean) / deviation
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block says nothing about the pixels, which are already decoded
        return image


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 bits per channel")
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.int64)
        wide = image.mode != "I" or grey.max(initial=0) > 255
        image = Image.fromarray(np.clip(grey // 257 if wide else grey, 0, 255).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image.convert("RGB") if image.mode != "RGB" else image.copy()
