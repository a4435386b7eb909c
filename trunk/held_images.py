"""Images decoded once and held in memory while a training lasts, as many as fit a stated number of bytes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trunk.images import decode
from trunk.preprocessing import Preprocessing

HELD_BYTES = 2**30


class HeldImages:
    """Rows of pixels that are decoded when they are first asked for; threads may ask at the same time.

    limit: bytes; the images beyond it are decoded each time. Memory is taken as images come in, not before.
    """

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing, *, limit: int = HELD_BYTES) -> None:
        self.paths = paths
        self.preprocessing = preprocessing
        shape = (preprocessing.size, preprocessing.size, 3)
        count = min(len(paths), limit // int(np.prod(shape)))
        self.place = np.empty((count, *shape), dtype=np.uint8)
        self.there = np.zeros(count, dtype=np.bool_)

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 (n, size, size, 3), a copy."""
        found = np.empty((len(rows), *self.place.shape[1:]), dtype=np.uint8)
        known = rows < len(self.there)
        known[known] = self.there[rows[known]]
        found[known] = self.place[rows[known]]
        if not known.all():
            new = rows[~known]
            found[~known] = decode([self.paths[row] for row in new], self.preprocessing)
            kept = new < len(self.there)
            # First the pixels, then the word that they are there: another thread may look in between.
            self.place[new[kept]] = found[~known][kept]
            self.there[new[kept]] = True
        return found
