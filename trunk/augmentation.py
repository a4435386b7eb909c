"""Random changes to the pictures that train a trunk: flips, shifts, light and colour, and a square greyed out.

The square: Improved Regularization of Convolutional Neural Networks with Cutout (DeVries and Taylor, 2017),
arXiv:1708.04552. What is random is drawn for a whole batch first, so that ranks that share a batch change each image as
one process would.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trunk.preprocessing import IMAGENET_MEAN
from trunk.pretrain_settings import PretrainSettings

GREY = np.round(np.array(IMAGENET_MEAN) * 255).astype(np.uint8)
LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)


class Changes(NamedTuple):
    """What happens to each image of a batch: None stands for a change that the settings leave out.

    flipped: (N,) bool. corners: (N, 2), of the crop. factors: (N, 3), of brightness, contrast and saturation.
    erased: (N, 2), the square's corner.
    """

    flipped: NDArray[np.bool_]
    corners: NDArray[np.int64] | None
    factors: NDArray[np.float64] | None
    erased: NDArray[np.int64] | None

    def of(self, part: slice) -> "Changes":
        """Those of a part of the batch."""
        return Changes(
            self.flipped[part],
            None if self.corners is None else self.corners[part],
            None if self.factors is None else self.factors[part],
            None if self.erased is None else self.erased[part],
        )


def draw_changes(count: int, size: int, settings: PretrainSettings, rng: np.random.Generator) -> Changes:
    """The changes of ``count`` images of ``size`` pixels."""
    flipped = rng.random(count) < (0.5 if settings.flip else 0.0)
    margin, square = round(size * settings.pad), round(size * settings.erase)
    corners = rng.integers(0, 2 * margin + 1, size=(count, 2)) if margin else None
    factors = rng.uniform(1 - settings.jitter, 1 + settings.jitter, (count, 3)) if settings.jitter else None
    erased = rng.integers(-(square // 2), size - square // 2, size=(count, 2)) if square else None
    return Changes(flipped, corners, factors, erased)


def change(pixels: NDArray[np.uint8], changes: Changes, settings: PretrainSettings) -> NDArray[np.uint8]:
    """Apply changes, uint8 (N, S, S, 3) -> (N, S, S, 3)."""
    size = pixels.shape[1]
    pixels = np.where(changes.flipped[:, None, None, None], pixels[:, :, ::-1], pixels)
    if changes.corners is not None:
        margin = round(size * settings.pad)
        padded = np.pad(pixels, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")
        places = enumerate(changes.corners.tolist())
        pixels = np.stack([padded[n, y : y + size, x : x + size] for n, (y, x) in places])
    if changes.factors is not None:
        pixels = recoloured(pixels, changes.factors)
    if changes.erased is not None:
        square = round(size * settings.erase)
        for image, (y, x) in zip(pixels, changes.erased.tolist(), strict=True):
            image[max(0, y) : y + square, max(0, x) : x + square] = GREY
    return pixels


def recoloured(pixels: NDArray[np.uint8], factors: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Brightness, contrast (about the image's mean grey) and saturation (about each pixel's grey) by ``factors``."""
    brightness, contrast, saturation = factors.astype(np.float32).T[:, :, None, None, None]
    colours = pixels * brightness
    mean = (colours @ LUMA).mean(axis=(1, 2))[:, None, None, None]
    colours = mean + (colours - mean) * contrast
    grey = (colours @ LUMA)[..., None]
    changed: NDArray[np.uint8] = np.clip(np.rint(grey + (colours - grey) * saturation), 0, 255).astype(np.uint8)
    return changed
