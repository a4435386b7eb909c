"""scikit-learn's 1,797 handwritten digits as four attributes, for the demo: no download, minutes on two cores."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from subdatasets.importers import import_labels

SIDE = 16
BRIGHTEST = 16  # of scikit-learn's 8 x 8 pictures
ATTRIBUTES: dict[str, Callable[[int], bool]] = {
    "has-loop": lambda digit: digit in (0, 6, 8, 9),
    "even": lambda digit: digit % 2 == 0,
    "greater-than-four": lambda digit: digit > 4,
    "seven": lambda digit: digit == 7,
}


def load_pictures() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures uint8 (1797, SIDE, SIDE) and their digits."""
    digits = load_digits()
    small = (digits.images * (255 / BRIGHTEST)).astype(np.uint8)
    large = [Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for picture in small]
    return np.stack([np.asarray(picture) for picture in large]), digits.target.astype(np.int64)


def import_digits(destination: Path, *, seed: int) -> None:
    """Write the pictures once and one sub-dataset per attribute; all share the same splits."""
    pictures, digits = load_pictures()
    labels = {name: ["yes" if holds(digit) else "no" for digit in digits] for name, holds in ATTRIBUTES.items()}
    import_labels(pictures, labels, destination, seed=seed)
