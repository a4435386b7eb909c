"""Read image files to what an exported trunk reads, with numpy and Pillow alone.

The pixels are those that the toolkit trains on, to the bit: upright, transparent parts over black, 16-bit grey scaled
to 8 bits, brought to the trunk's height and width as `trunk.preprocessing` does it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from deployment.errors import BundleError
from deployment.runtime.files import shape_of

ORIENTATION = 0x0112  # the tag of EXIF
STRIP = 2**17  # pixels that are converted at a time
SPARE = 2  # a JPEG that is decoded at a smaller scale keeps so many times the pixels of a side that are wanted
INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


Size = tuple[int, int]  # (width, height), as Pillow has it


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
    """One image file -> float32 (3, height, width), fitted and normalised as `preprocessing` says.

    Raises: BundleError naming the file when it is missing or no whole image.
    """
    try:
        with Image.open(path) as opened:
            decoded = pixels_of(opened, preprocessing.get("white"), enough_for(preprocessing))
            return normalised(decoded, preprocessing)
    except FileNotFoundError as error:
        raise BundleError(f"there is no image {path}: correct the path") from error
    except Exception as error:  # Pillow's decoders answer broken files with nearly every exception there is
        raise BundleError(f"{path} cannot be read as an image ({error}): replace the file") from error


def pixels_of(
    opened: Image.Image, white: int | None = None, enough: Callable[[Size], Size] | None = None
) -> Image.Image:
    """An opened image, decoded: upright, mode RGB; of an animation the first frame. Raises what Pillow raises.

    `enough` says what an upright picture of (width, height) must still have where a JPEG is decoded at a smaller scale.

    `white` is that of grey pictures of 16 or 32 bits; None: 65535, or 255 in files of 32 bits that go no further.
    It may be the opened one itself; where it is another, nothing as large as these two stands beside them.
    """
    if enough is not None:
        turned = _orientation(opened) >= 5
        width, height = opened.size
        least = enough((height, width) if turned else (width, height))
        opened.draft(None, (max(1, least[turned]), max(1, least[not turned])))
    opened.load()
    return _as_rgb(_upright(opened), white)


def enough_for(preprocessing: Mapping[str, Any]) -> Callable[[Size], Size] | None:
    """For `pixels_of`: how much of a JPEG this preprocessing needs; None where it decodes all of it."""
    return partial(_enough, preprocessing) if preprocessing.get("decoding", "full") == "scaled" else None


def normalised(image: Image.Image, preprocessing: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """An RGB image -> float32 (3, height, width), fitted and normalised as `preprocessing` says."""
    image = _fitted(image, preprocessing)
    mean, deviation = (np.asarray(preprocessing[key], dtype=np.float32) * 255 for key in ("mean", "std"))
    pixels = (np.asarray(image, dtype=np.float32) - mean) / deviation
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _fitted(image: Image.Image, preprocessing: Mapping[str, Any]) -> Image.Image:
    """Of the trunk's height and width: squashed, cut from the middle, or whole on the colour of the mean."""
    (tall, wide), how = shape_of(preprocessing), INTERPOLATIONS[preprocessing["interpolation"]]
    fit = preprocessing.get("fit", "squash")
    if fit == "squash":
        return image if image.size == (wide, tall) else image.resize((wide, tall), how)
    scale = _scale(image.size, preprocessing)
    if fit == "crop":
        left, top = (image.width - wide / scale) / 2, (image.height - tall / scale) / 2
        box = (max(0.0, left), max(0.0, top), image.width - max(0.0, left), image.height - max(0.0, top))
        return image.resize((wide, tall), how, box=box)
    inside = (min(wide, max(1, round(image.width * scale))), min(tall, max(1, round(image.height * scale))))
    mean = tuple(min(255, max(0, round(255 * value))) for value in preprocessing["mean"])
    frame = Image.new("RGB", (wide, tall), mean)
    shrunk = image if image.size == inside else image.resize(inside, how)
    frame.paste(shrunk, ((wide - inside[0]) // 2, (tall - inside[1]) // 2))
    return frame


def _scale(size: Size, preprocessing: Mapping[str, Any]) -> float:
    """Pixels of the trunk's per pixel of an image of this size, where the aspect ratio is kept."""
    (tall, wide), (width, height) = shape_of(preprocessing), size
    if preprocessing["fit"] == "crop":
        return float(max(wide / width, tall / height) / preprocessing.get("crop", 1.0))
    return min(wide / width, tall / height)


def _enough(preprocessing: Mapping[str, Any], size: Size) -> Size:
    (tall, wide), (width, height) = shape_of(preprocessing), size
    if preprocessing.get("fit", "squash") == "squash":
        return SPARE * wide, SPARE * tall
    scale = _scale(size, preprocessing)
    return round(SPARE * width * scale), round(SPARE * height * scale)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return value if isinstance(value, int) else 1


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
