"""Features read from the memory-mapped shards of a cache, in the order asked for, one view of each image at a time.

In batches, those on the disk are asked for ahead, while the one before is worked on.
"""

import copy
import mmap
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trunk.features.codecs import Codec, Plain
from trunk.features.context import FeaturesWithContext
from trunk.features.source import FeatureSource
from trunk.images import ahead

Rows = NDArray[np.int64]
AVERAGED_ROWS, AVERAGED_BYTES = 1024, 2**25  # of a batch, at most


class CachedFeatures:
    """Rows (N, 2) of one depth's shards: (shard, row in it) each; nothing is held in memory but this index.

    A :class:`trunk.features.source.FeatureSource`. `shape` (C, H, W) is what is read; `views` (V, N, 2) are the
    rows of the same images' other views, which only :func:`drawn` reads.
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
        for position, shard, row in self._as_they_lie(indices):
            held[position].copy_(self.maps[shard][row])
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
        """(position among the indices, shard, row in it), in the order of the disk."""
        rows = self.rows[indices.numpy()]
        order = np.lexsort((rows[:, 1], rows[:, 0]))
        for position, (shard, row) in zip(order.tolist(), rows[order].tolist(), strict=True):
            yield position, shard, row

    def part(self, start: int, stop: int) -> Self:
        """Rows ``start`` to ``stop`` of the order asked for."""
        views = None if self.views is None else self.views[:, start:stop]
        return self.reading(self.rows[start:stop], views)

    def with_views(self, others: Sequence["CachedFeatures"]) -> Self:
        """The same images with other views of them; `others` are parts of the same opened cache, one per view."""
        return self.reading(self.rows, np.stack([other.rows for other in others]) if others else None)

    def chosen(self, views: Rows) -> Self:
        """Of each image the view of this number (N,); 0 is the plain one."""
        assert self.views is not None
        rows = self.rows.copy()
        for number, view in enumerate(self.views, start=1):
            rows[views == number] = view[views == number]
        return self.reading(rows, None)

    def reading(self, rows: Rows, views: NDArray[np.int64] | None) -> Self:
        """Other rows of the same shards."""
        other = copy.copy(self)
        other.rows, other.views = rows, views
        return other


def advise(mapped: mmap.mmap, start: int, length: int) -> None:
    """Have the system read these bytes ahead; where it knows no such advice, nothing."""
    if hasattr(mmap, "MADV_WILLNEED"):
        mapped.madvise(mmap.MADV_WILLNEED, start, length)


def drawn(features: FeatureSource, rng: np.random.Generator) -> FeatureSource:
    """The features for one epoch: of every image one of its views, drawn uniformly, the plain one among them.

    Features without other views are given back as they are, and nothing is drawn.
    """
    if isinstance(features, FeaturesWithContext):
        return features.drawn(rng)
    if not isinstance(features, CachedFeatures) or features.views is None:
        return features
    return features.chosen(rng.integers(0, len(features.views) + 1, len(features)))


Batches = Generator[tuple[Tensor, Tensor], None, None]


def prefetched(features: FeatureSource, batches: Iterable[NDArray[np.int64]], device: torch.device) -> Batches:
    """For each batch of rows, in their order: the rows (n,) as a tensor and their features, float32 (n, C, H, W).

    The features lie in the host's memory, for work on `device`. Cached ones are good until the next batch is asked for,
    and are read at most one batch ahead. Beside a GPU a second thread reads them. Beside a CPU only the disk is told,
    and they are copied when they are due: a thread that copies takes a core from the work, and were it to call on
    OpenMP's workers, those of the first would no longer spin while they wait, and begin each parallel operation late
    (on two cores, a child step on maps of 4x4 took twice its time). What reading raises is raised where its batch is
    due; `batches` is read in the caller's thread, so the order does not depend on the reader's pace.
    """
    if not isinstance(features, CachedFeatures):
        for rows in batches:
            index = torch.from_numpy(rows)
            yield index, features.gather(index)
    elif device.type == "cpu":
        yield from _told_ahead(features, batches)
    else:
        gather = _in_places(features, 2)
        indices = map(torch.from_numpy, batches)
        yield from ahead(lambda index: (index, gather(index)), indices, threads=1, depth=1)


def _told_ahead(features: CachedFeatures, batches: Iterable[NDArray[np.int64]]) -> Batches:
    gather = _in_places(features, 1)
    due: Tensor | None = None
    for rows in batches:
        coming = torch.from_numpy(rows)
        features.expect(coming)
        if due is not None:
            yield due, gather(due)
        due = coming
    if due is not None:
        yield due, gather(due)


def _in_places(features: CachedFeatures, count: int) -> Callable[[Tensor], Tensor]:
    """`gather` into so many buffers in turn."""
    channels, height, width = features.shape
    buffers = [torch.empty(0)] * count

    def gather(index: Tensor) -> Tensor:
        held = buffers.pop(0)
        wanted = (len(index), height, width, channels)
        buffers.append(held if held.shape == wanted else torch.empty(wanted))
        return features.gather_into(buffers[-1], index)

    return gather


def averaged(features: FeatureSource) -> Tensor:
    """Global average of each row's map: float32 (N, C); what a linear probe reads.

    One array and one buffer: batches that come and go between small results that stay leave holes in the heap, 2.3 GB
    for 100,000 rows. A row's average does not depend on the batch, to the bit.
    """
    channels, height, width = features.shape
    size = max(1, min(AVERAGED_ROWS, AVERAGED_BYTES // (4 * channels * height * width)))
    averages = torch.empty(len(features), channels)
    batches = (np.arange(start, min(start + size, len(features))) for start in range(0, len(features), size))
    for index, rows in prefetched(features, batches, torch.device("cpu")):
        torch.mean(rows, dim=(2, 3), out=averages[int(index[0]) : int(index[-1]) + 1])
    return averages
