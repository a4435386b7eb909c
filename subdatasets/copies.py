"""Near copies of pictures: the same scene saved smaller, brighter or compressed anew, found by how light changes in it.

A difference hash (N. Krawetz, "Kind of Like That", 2013): whether each of 9 x 8 cells is darker than its right, and of
8 x 9 than its lower neighbour, is one bit each. Copies differ in few bits; pictures without any contrast have no hash.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foundation.history import Progress
from subdatasets.errors import DataError
from subdatasets.image_files import THREADS, over_files, read_image
from subdatasets.splits import joined

# Of 128 bits. Crops of photographs moved at most 6 in nine cases of ten, and 13 in all but one of a hundred, when saved
# as JPEG at quality 30, at half the size or 20 % brighter; different ones were 35 apart and more.
DISTANCE = 10
_MARGIN = 2  # of 255: by less than this a cell is as dark as its neighbour, for noise would decide
_CONTRAST = 12  # of 255: a flatter picture's bits are noise


def near_copies(
    paths: Sequence[Path], *, white: int | None = None, threads: int = THREADS, progress: Progress | None = None
) -> NDArray[np.int64]:
    """(N,) numbers, equal for pictures that are near copies of each other; what cannot be read is alone.

    Args:
        paths: the pictures.
        white: of grey pictures of 16 or 32 bits; without it those of 10 bits are too dark to have a hash.
        threads: how many are read at a time.
        progress: hears the stage "images".
    """
    hashes = list(over_files(partial(_difference_hash, white=white), paths, threads=threads, progress=progress))
    known = [row for row, packed in enumerate(hashes) if packed is not None]
    if not known:
        return np.arange(len(paths))
    packed = np.stack([each for each in hashes if each is not None])
    return joined(len(paths), ((known[one], known[other]) for one, other in _near_pairs(packed)))


def _difference_hash(path: Path, white: int | None) -> NDArray[np.uint8] | None:
    """128 bits in 16 bytes; None for a picture that cannot be read or is flat."""
    try:
        grey = read_image(path, white=white).convert("L")
    except DataError:
        return None
    cells = np.asarray(grey.resize((9, 9), Image.Resampling.BOX), dtype=np.int64)
    if cells.max() - cells.min() < _CONTRAST:
        return None
    return np.packbits([cells[:8, :8] + _MARGIN < cells[:8, 1:], cells[:8, :8] + _MARGIN < cells[1:, :8]])


def _near_pairs(packed: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Pairs of rows that differ in at most DISTANCE bits, enough of them to join what is near."""
    distinct, first, rows = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    yield from ((int(first[number]), row) for row, number in enumerate(rows.ravel().tolist()))
    bits = np.unpackbits(distinct, axis=1).astype(np.int64)
    for band in np.array_split(np.arange(bits.shape[1]), DISTANCE + 1):
        # One band more than bits may differ: in one of them what is near agrees.
        words = bits[:, band] @ (1 << np.arange(len(band)))
        order = np.argsort(words, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(words[order])) + 1):
            for place, one in enumerate(members[:-1].tolist()):
                others = members[place + 1 :]
                apart = np.unpackbits(distinct[others] ^ distinct[one], axis=1).sum(axis=1)
                yield from ((int(first[one]), int(first[other])) for other in others[apart <= DISTANCE])
