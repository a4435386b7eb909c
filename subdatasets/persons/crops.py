"""Persons cut out of scenes: one crop per person, with the background and the other persons removed.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.1: with
several passengers in an elevator, instance segmentation "will minimize the impact of occlusion and background". The
papers use YOLACT; here whatever gives masks is a `Segmenter`: torchvision's Mask R-CNN
(`subdatasets.persons.mask_rcnn`), or masks on disk (`subdatasets.persons.masks`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from subdatasets.errors import DataError

Pixels: TypeAlias = npt.NDArray[np.uint8]
Box: TypeAlias = tuple[int, int, int, int]
FILLS = ("mean", "transparent")
# ImageNet's, which is zero after the normalisation that most trunks expect.
MEAN_COLOUR = (124, 116, 104)


class Instance(NamedTuple):
    """One person that was found: mask (H, W), box (left, top, right, bottom) in pixels, the last two outside, score."""

    mask: npt.NDArray[np.bool_]
    box: Box
    score: float


class Segmenter(Protocol):
    """What finds the persons in a picture."""

    def __call__(self, image: Pixels, path: Path | None = None) -> Sequence[Instance]:
        """The persons in `image` (H, W, 3), RGB; `path` is the file it was read from, None for one from memory."""
        ...

    def identity(self, path: Path) -> str:
        """A text that changes when the answer for this file may change, its pixels aside."""
        ...


@dataclass(frozen=True)
class CropSettings:
    """Which persons are cut out, and how.

    smallest: pixels that the shorter side of a box has at least. score: what the segmenter's score reaches at least.
    visible: the share of a mask that no person of a higher score covers, at least; two masks of one person fall under
    it. fill: what stands in for the rest of the box, "mean" (a fixed colour) or "transparent" (a fourth channel).
    """

    smallest: int = 32
    score: float = 0.7
    visible: float = 0.5
    fill: Literal["mean", "transparent"] = "mean"

    def __post_init__(self) -> None:
        if self.smallest < 1:
            raise DataError(f"the smallest side of a person is {self.smallest}: give a number of pixels from 1")
        for name, value in (("score", self.score), ("visible share", self.visible)):
            if not 0 <= value <= 1:
                raise DataError(f"the {name} of a person is {value}: give a number from 0 to 1")
        if self.fill not in FILLS:
            raise DataError(f"persons cannot be laid on {self.fill!r}: use one of {', '.join(FILLS)}")


class Crop(NamedTuple):
    """One person cut out: pixels (h, w, 3), or (h, w, 4) where transparent, the box in the picture, and the score."""

    pixels: Pixels
    box: Box
    score: float


def person_crops(image: Pixels, persons: Sequence[Instance], settings: CropSettings) -> list[Crop]:
    """The persons of a picture (H, W, 3) that the settings admit, the highest score first.

    A pixel that two masks claim belongs to the one with the higher score, of equals to the first.

    Raises: DataError for a mask of another size than the picture.
    """
    height, width = image.shape[:2]
    taken = np.zeros((height, width), dtype=np.bool_)
    crops = []
    for person in sorted(persons, key=lambda instance: -instance.score):
        if person.mask.shape != (height, width):
            raise DataError(f"a mask has {person.mask.shape} pixels and its picture {height, width}: make them alike")
        if person.score < settings.score:
            continue
        own = person.mask & ~taken
        taken |= person.mask
        left, top = max(0, person.box[0]), max(0, person.box[1])
        right, bottom = min(width, person.box[2]), min(height, person.box[3])
        if min(right - left, bottom - top) < settings.smallest or own.sum() < settings.visible * person.mask.sum():
            continue
        box = slice(top, bottom), slice(left, right)
        if own[box].any():
            pixels = filled(image[box], own[box], settings.fill)
            crops.append(Crop(pixels, (left, top, right, bottom), person.score))
    return crops


def filled(pixels: Pixels, mask: npt.NDArray[np.bool_], fill: str) -> Pixels:
    """(h, w, 3) with what is not in the mask replaced: by the mean colour, or by transparent black in (h, w, 4)."""
    colour = np.array(MEAN_COLOUR if fill == "mean" else (0, 0, 0), dtype=np.uint8)
    kept = np.where(mask[..., None], pixels, colour)
    if fill == "mean":
        return kept
    return np.concatenate([kept, mask[..., None].astype(np.uint8) * 255], axis=2)


def box_of(mask: npt.NDArray[np.bool_]) -> Box:
    """The smallest box that holds a mask (H, W) with at least one pixel."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
