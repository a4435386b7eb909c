"""Batches of the dynamic graph: the images of a step, the labels that count, and the changes made to the pixels.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.2: one
attribute at random, a batch of its sub-dataset. Beyond the paper, as options: several attributes per step; attributes
drawn by the size of their sub-datasets; class-balanced batches; and labels that an image has in other sub-datasets
(same content), which make more of eq. 1's epsilon_t one instead of zero.

Changes: flips, shifts, light and colour, and a square greyed out, Improved Regularization of Convolutional Neural
Networks with Cutout (DeVries and Taylor, 2017), arXiv:1708.04552. What is random is drawn for a whole batch first, so
that ranks that share a batch change each image as one process would.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trunk.errors import TrunkError
from trunk.preprocessing import IMAGENET_MEAN
from trunk.pretraining.dynamic_graph import UNKNOWN, PooledImages
from trunk.pretraining.settings import POWERS, PretrainSettings

GREY = np.round(np.array(IMAGENET_MEAN) * 255).astype(np.uint8)
LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)


@dataclass(frozen=True)
class Batch:
    """Rows of :class:`PooledImages` that one step trains on, with the labels that count in it, int64 (N, attributes).

    sizes: how many of the rows, in their order, were drawn for each attribute of the step.
    known: images with a label of each attribute, (attributes,), in the whole step: of a part too, the step's.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    sizes: tuple[int, ...]
    known: NDArray[np.int64]

    def part(self, rank: int, ranks: int) -> "Batch":
        """Every ``ranks``-th row from ``rank`` on: the share of one of several processes.

        >>> batch = Batch(np.arange(7), np.zeros((7, 1), dtype=np.int64), (4, 3), np.array([7]))
        >>> [batch.part(rank, 2).sizes for rank in (0, 1)]
        [(2, 2), (2, 1)]
        """
        chosen = slice(rank, None, ranks)
        attribute = np.repeat(np.arange(len(self.sizes)), self.sizes)[chosen]
        sizes = tuple(np.bincount(attribute, minlength=len(self.sizes)).tolist())
        return Batch(self.rows[chosen], self.labels[chosen], sizes, self.known)


class BatchPlan:
    """Which images step ``s`` trains on: a pure function of (seed, s), so that a resumed run sees the same batches.

    attributes_per_step: at most; fewer where there are fewer, or less than two images of each would be in a batch.
    """

    def __init__(
        self,
        images: PooledImages,
        *,
        batch_size: int,
        attributes_per_step: int = 1,
        sampling: str = "uniform",
        balanced: bool = True,
        shared_labels: bool = False,
        seed: int = 0,
    ) -> None:
        if attributes_per_step < 1:
            raise TrunkError(f"trunk.attributes_per_step must be at least 1, is {attributes_per_step}.")
        if batch_size < 2:
            raise TrunkError(f"trunk.batch_size must be at least 2, is {batch_size}.")
        self.images = images
        self.batch_size = batch_size
        self.attributes_per_step = min(attributes_per_step, images.attributes, batch_size // 2)
        self.balanced = balanced
        self.shared_labels = shared_labels
        self.seed = seed
        self.shares = None if sampling == "uniform" else shares_of(images, POWERS[sampling])

    def batch(self, step: int) -> Batch:
        """The batch of one step; an attribute is drawn at most once for it."""
        rng = np.random.default_rng((self.seed, step))
        attributes = rng.choice(self.images.attributes, self.attributes_per_step, replace=False, p=self.shares)
        sizes = np.full(len(attributes), self.batch_size // len(attributes))
        sizes[: self.batch_size % len(attributes)] += 1
        rows, labels = [], []
        for t, size in zip(attributes.tolist(), sizes.tolist(), strict=True):
            drawn = self.draw(t, size, rng)
            known = np.full((size, self.images.attributes), UNKNOWN, dtype=np.int64)
            if self.shared_labels:
                known[:] = self.images.labels[drawn]
            known[:, t] = self.images.labels[drawn, t]
            rows.append(drawn)
            labels.append(known)
        together = np.concatenate(labels)
        return Batch(np.concatenate(rows), together, tuple(sizes.tolist()), (together >= 0).sum(axis=0))

    def draw(self, attribute: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """``size`` training rows of one attribute, values in equal shares when balanced, else as they occur."""
        by_value = self.images.train_rows[attribute]
        if not self.balanced:
            pool = np.concatenate(by_value)
            return rng.choice(pool, size, replace=size > len(pool))
        values = rng.permutation(np.arange(size) % len(by_value))
        return np.array([rng.choice(by_value[value]) for value in values], dtype=np.int64)


def shares_of(images: PooledImages, power: float) -> NDArray[np.float64]:
    """How likely each attribute is, (attributes,): its number of training images to a power, over their sum."""
    sizes = np.array([sum(map(len, by_value)) for by_value in images.train_rows], dtype=np.float64) ** power
    shares: NDArray[np.float64] = sizes / sizes.sum()
    return shares


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


def draw_changes(count: int, shape: tuple[int, int], settings: PretrainSettings, rng: np.random.Generator) -> Changes:
    """The changes of ``count`` images of (height, width)."""
    flipped = rng.random(count) < (0.5 if settings.flip else 0.0)
    margins, square = margins_of(shape, settings), round(min(shape) * settings.erase)
    corners = rng.integers(0, 2 * margins + 1, size=(count, 2)) if margins.any() else None
    factors = rng.uniform(1 - settings.jitter, 1 + settings.jitter, (count, 3)) if settings.jitter else None
    erased = rng.integers(-(square // 2), np.array(shape) - square // 2, size=(count, 2)) if square else None
    return Changes(flipped, corners, factors, erased)


def margins_of(shape: tuple[int, int], settings: PretrainSettings) -> NDArray[np.int64]:
    """Rows and columns that are padded on each side of an image of (height, width)."""
    return np.array([round(side * settings.pad) for side in shape], dtype=np.int64)


def change(pixels: NDArray[np.uint8], changes: Changes, settings: PretrainSettings) -> NDArray[np.uint8]:
    """Apply changes, uint8 (N, height, width, 3) -> the same shape."""
    height, width = pixels.shape[1:3]
    pixels = np.where(changes.flipped[:, None, None, None], pixels[:, :, ::-1], pixels)
    if changes.corners is not None:
        down, across = margins_of((height, width), settings).tolist()
        padded = np.pad(pixels, ((0, 0), (down, down), (across, across), (0, 0)), mode="reflect")
        corners = enumerate(changes.corners.tolist())
        pixels = np.stack([padded[n, y : y + height, x : x + width] for n, (y, x) in corners])
    if changes.factors is not None:
        pixels = recoloured(pixels, changes.factors)
    if changes.erased is not None:
        square = round(min(height, width) * settings.erase)
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
