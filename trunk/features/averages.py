"""Averages of the trunk's maps at all depths, on disk: a few thousand numbers per image, from one pass of the trunk.

They lie beside the maps, in the folder ``averages`` of a feature cache, in shards like theirs: one row per image, the
channels of depth 1, of depth 2 and so on joined, float32. They are small where maps are large, so that all depths can
be looked at before one is chosen (:mod:`branches.measures.depths`).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.history import Progress
from foundation.locks import sweep
from trunk.errors import TrunkError
from trunk.features.cache import FeatureCache, index_of, read_shard_record, write_shard

SHARD_ROWS = 256  # what a kill loses at most

Averages = NDArray[np.float32]  # (images, channels of all depths)


class AverageCache:
    """The averages of one trunk; ``cache`` says where they lie and how the trunk is run."""

    def __init__(self, cache: FeatureCache) -> None:
        self.cache = cache
        self.folder = cache.folder / "averages"
        self.widths = [channels for channels, _, _ in cache.trunk.shapes]  # of each depth, in their order

    def read_index(self) -> tuple[list[Path], dict[str, tuple[int, int]]]:
        """The whole shards, and (shard, row) per image; damaged shards are deleted."""
        records = sorted(self.folder.glob("*.json"))
        return index_of((record, read_shard_record(record, (sum(self.widths),), None)) for record in records)

    def fill(self, images: Mapping[str, Path], *, progress: Progress | None = None) -> int:
        """Compute what is missing of ``images`` (content hash -> file); how many of them passed the trunk.

        Raises:
            TrunkError: the disk is full, or the trunk's weights give no numbers.
        """
        known = self.read_index()[1]
        missing = [(key, path) for key, path in images.items() if key not in known]
        if not missing:
            return 0
        sweep(self.folder)
        depths, done = list(self.cache.trunk.depths), 0
        if progress:
            progress("averages", 0, len(missing), {})
        keys, waiting = iter(missing), list[tuple[str, Averages]]()
        for captured in self.cache.captured(missing, depths):
            means = [captured[depth].mean(dim=(1, 2)) for depth in depths]
            rows: Averages = np.concatenate([mean.cpu().numpy() for mean in means], axis=1, dtype=np.float32)
            require_numbers(rows, self.widths)
            waiting += zip((key for key, _ in islice(keys, len(rows))), rows, strict=True)
            if len(waiting) >= SHARD_ROWS:
                self.write(waiting)
                waiting = []
            done += len(rows)
            if progress:
                progress("averages", done, len(missing), {})
        if waiting:
            self.write(waiting)
        return done

    def write(self, rows: Sequence[tuple[str, Averages]]) -> None:
        """Commit rows as one shard."""
        array = np.stack([row for _, row in rows])
        self.cache.guarded(partial(write_shard, self.folder, [key for key, _ in rows], array, None))

    def read(self, keys: Sequence[str]) -> Averages:
        """The averages of these images, in this order, in memory.

        Raises:
            TrunkError: some are not there.
        """
        shards, index = self.read_index()
        if missing := [key for key in keys if key not in index]:
            raise TrunkError(
                f"{len(missing)} of {len(keys)} images are not in {self.folder}; call `graftnet trunk probe` again."
            )
        maps = [np.load(path, mmap_mode="r", allow_pickle=False) for path in shards]
        rows: Averages = np.empty((len(keys), sum(self.widths)), dtype=np.float32)
        for place, key in enumerate(keys):
            shard, row = index[key]
            rows[place] = maps[shard][row]
        return rows


def require_numbers(rows: Averages, widths: Sequence[int]) -> None:
    """Refuse averages that are no numbers, by the first depth that gives such.

    Raises:
        TrunkError: the trunk's weights are damaged, or overflow in its number format.
    """
    start = 0
    for depth, width in enumerate(widths, start=1):
        if not np.isfinite(rows[:, start : start + width]).all():
            raise TrunkError(
                f"The trunk gives features that are no numbers after {depth} blocks; bring other weights with "
                f"`graftnet trunk use`, or set trunk.feature_precision to float32."
            )
        start += width
