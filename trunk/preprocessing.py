"""Preprocessing of an image: from a file's pixels to the tensor a trunk reads; part of the trunk's fingerprint."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from trunk.errors import TrunkError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Preprocessing:
    """Resize to a square of ``size`` pixels (the aspect ratio is not kept), scale to 0..1, ``(x - mean) / std``.

    white: of grey pictures of 16 or 32 bits; None: what their files can hold (:func:`subdatasets.read_image`).
    """

    size: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bilinear"
    white: int | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise TrunkError(f"The trunk's image size must be at least 1 pixel, is {self.size}.")
        if self.white is not None and not 0 < self.white < 2**31:
            raise TrunkError(f"The trunk's white must be a whole number from 1 to 2147483647, is {self.white}.")
        if self.interpolation not in INTERPOLATIONS:
            raise TrunkError(
                f"The trunk's interpolation must be one of {', '.join(INTERPOLATIONS)}, is {self.interpolation!r}."
            )

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """RGB image -> resized uint8 array (size, size, 3)."""
        image = image.convert("RGB")
        if image.size != (self.size, self.size):
            image = image.resize((self.size, self.size), INTERPOLATIONS[self.interpolation])
        return np.asarray(image)

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 (N, size, size, 3) -> float32 (N, 3, size, size), in channels-last memory order."""
        mean = torch.tensor(self.mean, device=pixels.device) * 255.0
        std = torch.tensor(self.std, device=pixels.device) * 255.0
        return ((pixels.float() - mean) / std).permute(0, 3, 1, 2)

    def apply(self, image: Image.Image) -> Tensor:
        """One image -> float32 (3, size, size)."""
        return self.normalise(torch.from_numpy(self.pixels(image).copy())[None])[0]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as written into ``trunk.json`` and hashed into the fingerprint."""
        record = {**asdict(self), "mean": list(self.mean), "std": list(self.std)}
        if self.white is None:  # trunks from before there was one keep their fingerprints
            del record["white"]
        return record

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Preprocessing":
        """Read what :meth:`to_json` wrote."""
        return cls(value["size"], tuple(value["mean"]), tuple(value["std"]), value["interpolation"], value.get("white"))
