"""Preprocessing of an image: from a file's pixels to the tensor a trunk reads; part of the trunk's fingerprint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from subdatasets.image_files import read_image
from trunk.errors import TrunkError
from trunk.records import DECODINGS, FITS, INTERPOLATIONS

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SPARE = 2  # a JPEG that is decoded at a smaller scale keeps so many times the pixels of a side that are wanted


@dataclass(frozen=True)
class Preprocessing:
    """Bring an image to the trunk's height and width, scale to 0..1, ``(x - mean) / std``.

    size: of a square, or (height, width).
    white: of grey pictures of 16 or 32 bits; None: what their files can hold (:func:`subdatasets.read_image`).
    fit: "squash" gives up the aspect ratio; "crop" keeps it and cuts from the middle what stands over; "pad" keeps it
        and fills what is left with the mean.
    crop: "crop" takes this share of the largest part in the middle that fits, as timm's ``crop_pct``.
    decoding: "scaled" decodes JPEGs at the smallest of libjpeg's scales (1/2, 1/4, 1/8) that leaves :data:`SPARE` times
        the pixels wanted.

    Raises:
        TrunkError: a value that cannot be.
    """

    size: int | tuple[int, int]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bilinear"
    white: int | None = None
    fit: str = "squash"
    crop: float = 1.0
    decoding: str = "full"

    def __post_init__(self) -> None:
        if not isinstance(self.size, int):
            height, width = self.size
            object.__setattr__(self, "size", height if height == width else (height, width))
        if min(self.shape) < 1:
            raise TrunkError(f"The trunk's image size must be at least 1 pixel, is {self.size}.")
        if self.white is not None and not 0 < self.white < 2**31:
            raise TrunkError(f"The trunk's white must be a whole number from 1 to 2147483647, is {self.white}.")
        if not 0 < self.crop <= 1:
            raise TrunkError(f"The trunk's crop must be above 0 and at most 1, is {self.crop}.")
        for name, value, known in (
            ("interpolation", self.interpolation, INTERPOLATIONS),
            ("fit", self.fit, FITS),
            ("decoding", self.decoding, DECODINGS),
        ):
            if value not in known:
                raise TrunkError(f"The trunk's {name} must be one of {', '.join(known)}, is {value!r}.")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def read(self, path: Path) -> Image.Image:
        """The RGB image of a file, with as many pixels as :meth:`pixels` needs, or more.

        Raises:
            DataError: it is missing, or cannot be read.
        """
        return read_image(path, white=self.white, enough=self.enough if self.decoding == "scaled" else None)

    def enough(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of an image -> those that it must still have where it is decoded at a smaller scale."""
        (tall, wide), (width, height) = self.shape, size
        if self.fit == "squash":
            return SPARE * wide, SPARE * tall
        scale = self.scale(width, height)
        return round(SPARE * width * scale), round(SPARE * height * scale)

    def scale(self, width: int, height: int) -> float:
        """Pixels of the trunk's per pixel of an image of this size, where the aspect ratio is kept."""
        tall, wide = self.shape
        return max(wide / width, tall / height) / self.crop if self.fit == "crop" else min(wide / width, tall / height)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """RGB image -> uint8 array (height, width, 3)."""
        image = image.convert("RGB")
        (tall, wide), how = self.shape, FILTERS[self.interpolation]
        if self.fit == "squash":
            return np.asarray(image if image.size == (wide, tall) else image.resize((wide, tall), how))
        scale = self.scale(*image.size)
        if self.fit == "crop":
            left, top = (image.width - wide / scale) / 2, (image.height - tall / scale) / 2
            box = (max(0.0, left), max(0.0, top), image.width - max(0.0, left), image.height - max(0.0, top))
            return np.asarray(image.resize((wide, tall), how, box=box))
        inside = (min(wide, max(1, round(image.width * scale))), min(tall, max(1, round(image.height * scale))))
        mean = tuple(min(255, max(0, round(255 * value))) for value in self.mean)
        frame = Image.new("RGB", (wide, tall), mean)
        shrunk = image if image.size == inside else image.resize(inside, how)
        frame.paste(shrunk, ((wide - inside[0]) // 2, (tall - inside[1]) // 2))
        return np.asarray(frame)

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 (N, height, width, 3) -> float32 (N, 3, height, width), in channels-last memory order."""
        mean = torch.tensor(self.mean, device=pixels.device) * 255.0
        std = torch.tensor(self.std, device=pixels.device) * 255.0
        return ((pixels.float() - mean) / std).permute(0, 3, 1, 2)

    def apply(self, image: Image.Image) -> Tensor:
        """One image -> float32 (3, height, width)."""
        return self.normalise(torch.from_numpy(self.pixels(image).copy())[None])[0]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as written into ``trunk.json`` and hashed into the fingerprint.

        What came later is left out where it changes nothing: trunks from before there was such a field keep theirs.
        """
        size = self.size if isinstance(self.size, int) else list(self.size)
        record: dict[str, Any] = {
            "size": size,
            "mean": list(self.mean),
            "std": list(self.std),
            "interpolation": self.interpolation,
        }
        later = {
            "white": (self.white, None),
            "fit": (self.fit, "squash"),
            "crop": (self.crop if self.fit == "crop" else 1.0, 1.0),
            "decoding": (self.decoding, "full"),
        }
        return {**record, **{key: value for key, (value, usual) in later.items() if value != usual}}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Preprocessing":
        """Read what :meth:`to_json` wrote."""
        size = value["size"] if isinstance(value["size"], int) else tuple(value["size"])
        later = {key: value[key] for key in ("white", "fit", "crop", "decoding") if key in value}
        return cls(size, tuple(value["mean"]), tuple(value["std"]), value["interpolation"], **later)


def shown_size(size: int | tuple[int, int]) -> str:
    """A size for people.

    >>> shown_size(96), shown_size((224, 112))
    ('96', '224 x 112')
    """
    return str(size) if isinstance(size, int) else f"{size[0]} x {size[1]}"
