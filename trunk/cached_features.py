"""Features read from the memory-mapped shards of a cache, in the order asked for, one view of each image at a time."""

import copy
import mmap
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trunk.codecs import Codec, Plain
from trunk.features import FeatureSource

Rows = NDArray[np.int64]


class CachedFeatures:
    """Rows (N, 2) of one depth's shards: (shard, row in it) each; nothing is held in memory but this index.

    A :class:`trunk.features.FeatureSource`. `shape` (C, H, W) is what is read; `views` (V, N, 2) are the rows of the
    same images' other views, which only :func:`drawn` reads.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        shards: Sequence[NDArray[Any]],
        rows: Rows,
        *,
        codec: Codec | None = None,
    ) -> None:
        self.shape = shape
        self.shards = shards
        self.rows = rows
        self.codec = codec or Plain("float16")
        self.views: NDArray[np.int64] | None = None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nor is it written to
            self.maps = [torch.from_numpy(np.asarray(shard)) for shard in shards]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def trunk_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the features before compression, as the trunk gives them."""
        return self.codec.channels or self.shape[0], *self.shape[1:]

    def gather(self, indices: Tensor) -> Tensor:
        """float32 (n, C, H, W), in channels-last memory order."""
        channels, height, width = self.shape
        return self.gather_into(torch.empty(len(indices), height, width, channels), indices)

    def gather_into(self, held: Tensor, indices: Tensor) -> Tensor:
        """`gather`, as a view of `held`, float32 (n, H, W, C): memory that was used before is filled much faster."""
        for place, shard, row in self._as_they_lie(indices):
            held[place].copy_(self.maps[shard][row])
        self.codec.restore(held)
        return held.permute(0, 3, 1, 2)

    def expect(self, indices: Tensor) -> None:
        """Tell the system which rows are gathered soon, so that it reads them from the disk meanwhile."""
        for _, shard, row in self._as_they_lie(indices):
            array, mapped = self.shards[shard], cast(object, self.shards[shard].base)
            if isinstance(array, np.memmap) and isinstance(mapped, mmap.mmap):
                start, size = array.offset + row * array.strides[0], array.strides[0]
                page = start - start % mmap.PAGESIZE
                advise(mapped, page, start + size - page)

    def _as_they_lie(self, indices: Tensor) -> Iterator[tuple[int, int, int]]:
        """(place among the indices, shard, row in it), in the order of the disk."""
        rows = self.rows[indices.numpy()]
        order = np.lexsort((rows[:, 1], rows[:, 0]))
        for place, (shard, row) in zip(order.tolist(), rows[order].tolist(), strict=True):
            yield place, shard, row

    def part(self, start: int, stop: int) -> Self:
        """Rows ``start`` to ``stop`` of the order asked for."""
        views = None if self.views is None else self.views[:, start:stop]
        return self.reading(self.rows[start:stop], views)

    def with_views(self, others: Sequence["CachedFeatures"]) -> Self:
        """The same images with other views of them; `others` are parts of the same opened cache, one per view."""
        return self.reading(self.rows, np.stack([other.rows for other in others]) if others else None)

    def reading(self, rows: Rows, views: NDArray[np.int64] | None) -> Self:
        """Other rows of the same shards."""
        found = copy.copy(self)
        found.rows, found.views = rows, views
        return found


def advise(mapped: mmap.mmap, start: int, length: int) -> None:
    """Have the system read these bytes ahead; where it knows no such advice, nothing."""
    if hasattr(mmap, "MADV_WILLNEED"):
        mapped.madvise(mmap.MADV_WILLNEED, start, length)


def drawn(features: FeatureSource, rng: np.random.Generator) -> FeatureSource:
    """The features for one epoch: of every image one of its views, drawn uniformly, the plain one among them.

    Features without other views are given back as they are, and nothing is drawn.
    """
    if not isinstance(features, CachedFeatures) or features.views is None:
        return features
    chosen = rng.integers(0, len(features.views) + 1, len(features))
    rows = features.rows.copy()
    for number, view in enumerate(features.views, start=1):
        rows[chosen == number] = view[chosen == number]
    return features.reading(rows, None)
