"""Ready-made masks on disk as a segmenter: one picture of numbers per image, or a folder with one mask per person."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from subdatasets.errors import DataError
from subdatasets.image_files import content_hash
from subdatasets.persons.crops import Instance, Pixels, box_of

SUFFIX = ".png"


class MaskFiles:
    """Of the image `name.jpg`, the file `folder/name.png`: 0 is background, each other number a person (8 or 16 bits,
    or a palette's indices); or the folder `folder/name/` of PNG files, one per person, who is everything but 0.

    Masks are of the upright image, as EXIF turns it. Every score is 1; of overlapping files the first by name wins.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"there is no folder of masks {folder}: check the path")
        self.folder = folder

    def __call__(self, image: Pixels, path: Path | None = None) -> Sequence[Instance]:
        """As `Segmenter`. Raises: DataError without a path, for masks missing, unreadable or of another size."""
        persons = []
        for file in self.files(path):
            numbers = _numbers(file)
            if numbers.shape != image.shape[:2]:
                raise DataError(
                    f"{file} has {numbers.shape[1]} x {numbers.shape[0]} pixels and its image {image.shape[1]} x "
                    f"{image.shape[0]}: make them alike"
                )
            single = file.parent != self.folder
            masks = [numbers != 0] if single else [numbers == number for number in np.unique(numbers[numbers != 0])]
            persons += [Instance(mask, box_of(mask), 1.0) for mask in masks if mask.any()]
        return persons

    def identity(self, path: Path) -> str:
        """The content of the masks."""
        return " ".join(["masks", *(content_hash(file) for file in self.files(path))])

    def files(self, path: Path | None) -> list[Path]:
        """The mask files of an image, one or several; an empty folder says that nobody is in it."""
        if path is None:
            raise DataError("masks on disk belong to image files: for a picture from memory use Mask R-CNN")
        single, several = self.folder / f"{path.stem}{SUFFIX}", self.folder / path.stem
        if single.is_file():
            return [single]
        if several.is_dir():
            return sorted(several.glob(f"[!.]*{SUFFIX}"))  # "._1.png" is macOS's note, and nobody's mask
        raise DataError(f"{path} has no masks: neither {single} nor the folder {several} is there; add one of them")


def _numbers(file: Path) -> npt.NDArray[np.int64]:
    """(H, W) whole numbers, as they are stored."""
    try:
        with Image.open(file) as opened:
            numbers = np.asarray(opened)
    except Exception as error:  # Pillow's decoders answer broken files with nearly every exception there is
        raise DataError(f"{file} cannot be read as a mask ({error}): replace the file") from error
    if numbers.ndim != 2 or numbers.dtype.kind not in "biu":
        raise DataError(f"{file} has several channels or no whole numbers: save masks with one channel of 8 or 16 bits")
    return numbers.astype(np.int64)
