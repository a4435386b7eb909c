"""Read image files to what an exported trunk reads, with numpy and Pillow alone.

The pixels are those that the toolkit trains on: upright, transparent parts over black, 16-bit grey scaled to 8 bits.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from deployment.errors import BundleError

ORIENTATION = 0x0112  # the tag of EXIF
STRIP = 2**17  # pixels that are converted at a time
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
            return normalised(pixels_of(opened, preprocessing.get("white")), preprocessing)
    except FileNotFoundError as error:
        raise BundleError(f"there is no image {path}: correct the path") from error
    except Exception as error:  # Pillow's decoders answer broken files with nearly every exception there is
        raise BundleError(f"{path} cannot be read as an image ({error}): replace the file") from error


def pixels_of(opened: Image.Image, white: int | None = None) -> Image.Image:
    """An opened image, decoded: upright, mode RGB; of an animation the first frame. Raises what Pillow raises.

    `white` is that of grey pictures of 16 or 32 bits; None: 65535, or 255 in files of 32 bits that go no further.
    It may be the opened one itself; where it is another, nothing as large as these two stands beside them.
    """
    opened.load()
    return _as_rgb(_upright(opened), white)


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
        if image.getexif().get(ORIENTATION, 1) == 1:
            return image  # which exif_transpose would copy
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block says nothing about the pixels, which are already decoded
        return image


def _as_rgb(image: Image.Image, white: int | None) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 bits per channel")
    if image.mode == "I" or image.mode.startswith("I;16"):
        if white is None:
            brightest: Any = image.getextrema()[1]  # of one band it is a number
            white = 65535 if image.mode != "I" or brightest > 255 else 255
        return _in_strips(image, lambda strip: _eight_bits(strip, white))
    if image.has_transparency_data:
        return _in_strips(image, _over_black)
    return image if image.mode == "RGB" else _in_strips(image, lambda strip: strip)


def _in_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """The RGB image of what `convert` makes of some rows at a time."""
    result = Image.new("RGB", image.size)
    rows = max(1, STRIP // max(1, image.width))
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        result.paste(convert(image.crop(box)).convert("RGB"), box)
    return result


def _eight_bits(grey: Image.Image, white: int) -> Image.Image:
    values = np.clip(np.asarray(grey).astype(np.int64), 0, white)
    return Image.fromarray((values * 255 // white).astype(np.uint8))


def _over_black(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image.convert("RGBA"))
