"""Cut the persons out of a picture that was sent.

Finding them needs a segmenter, which is given from outside: it may need torch, this package does not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from deployment.runtime.images import normalised

MOST = 32  # persons of one picture that are looked at, the surest first


class Crop(Protocol):
    """One person cut out: pixels (h, w, 3), box (left, top, right, bottom) in the picture, the segmenter's score."""

    @property
    def pixels(self) -> npt.NDArray[np.uint8]: ...
    @property
    def box(self) -> tuple[int, int, int, int]: ...
    @property
    def score(self) -> float: ...


# A picture (H, W, 3), RGB -> its persons, the highest score first.
FindPersons = Callable[[npt.NDArray[np.uint8]], Sequence[Crop]]


class View(NamedTuple):
    """What the model looks at: pixels (3, H, W) normalised, and of a person its box in the picture and its score."""

    image: npt.NDArray[np.float32]
    person: dict[str, Any]


def views_of(picture: Image.Image, preprocessing: Mapping[str, Any], find: FindPersons | None) -> list[View]:
    """The whole picture, or with `find` each of its persons."""
    if find is None:
        return [View(normalised(picture, preprocessing), {})]
    return [
        View(normalised(Image.fromarray(crop.pixels), preprocessing), {"box": list(crop.box), "score": crop.score})
        for crop in find(np.asarray(picture))[:MOST]
    ]
