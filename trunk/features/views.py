"""Views of an image, each the same whenever it is computed: a crop's place depends on the image and the view alone.

The features of a flipped image are not the flipped features of the image, so views are passed through the trunk and
cached beside the plain features. A cached row's key is the image's content hash, for other views followed by ``/VIEW``.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from trunk.features.settings import PLAIN
from trunk.preprocessing import Preprocessing

CROPPED = 0.75  # a crop keeps at least this share of each side
LIGHT = 0.25  # brightness and contrast change by up to this share


def key_of(content: str, view: str) -> str:
    """The key of one view's features."""
    return content if view == PLAIN else f"{content}/{view}"


def view_of(key: str) -> tuple[str, str]:
    """(content hash, view) of a key.

    >>> view_of("2f8a"), view_of("2f8a/flip+crop1")
    (('2f8a', 'plain'), ('2f8a', 'flip+crop1'))
    """
    content, _, view = key.partition("/")
    return content, view or PLAIN


def seen(image: Image.Image, key: str) -> Image.Image:
    """The RGB image as the key's view shows it; parts are applied in their order."""
    content, view = view_of(key)
    for part in () if view == PLAIN else view.split("+"):
        if part == "flip":
            image = ImageOps.mirror(image)
            continue
        seed = hashlib.sha256(f"{content}/{part}".encode()).digest()[:8]
        rng = np.random.default_rng(int.from_bytes(seed, "big"))
        image = cropped(image, rng) if part.startswith("crop") else lit(image, rng)
    return image


def cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A random part of the image, the same share of both sides."""
    share, left, top = rng.uniform(CROPPED, 1), rng.random(), rng.random()
    width, height = (max(1, round(share * side)) for side in image.size)
    x, y = round(left * (image.width - width)), round(top * (image.height - height))
    return image.crop((x, y, x + width, y + height))


def lit(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The image in other light: brightness, then contrast."""
    brightness, contrast = rng.uniform(1 - LIGHT, 1 + LIGHT, 2).tolist()
    return ImageEnhance.Contrast(ImageEnhance.Brightness(image).enhance(brightness)).enhance(contrast)


def decode_views(rows: Sequence[tuple[str, Path]], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """(key, image file) per row -> uint8 (N, height, width, 3); a file named by rows in succession is read once."""
    decoded: list[NDArray[np.uint8]] = []
    image, read = None, None
    for key, path in rows:
        if image is None or path != read:
            image, read = preprocessing.read(path), path
        decoded.append(preprocessing.pixels(seen(image, key)))
    return np.stack(decoded)
