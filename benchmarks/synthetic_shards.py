"""Random features on disk, in the shards of a feature cache, for benchmarks that read them back."""

from pathlib import Path

import numpy as np

from trunk.features.cache import SHARD_BYTES
from trunk.features.cached import CachedFeatures


def write_shards(folder: Path, shape: tuple[int, int, int], count: int, *, seed: int = 0) -> CachedFeatures:
    """`count` rows of float16 (H, W, C), channel 0 raised for odd rows; opened memory-mapped, one shard in memory."""
    channels, height, width = shape
    row_bytes = 2 * channels * height * width
    per_shard = -(-SHARD_BYTES // row_bytes)
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    maps, rows = [], np.empty((count, 2), dtype=np.int64)
    for number, start in enumerate(range(0, count, per_shard)):
        stop = min(start + per_shard, count)
        shard = rng.standard_normal((stop - start, height, width, channels), dtype=np.float32).astype(np.float16)
        shard[np.arange(start, stop) % 2 == 1, :, :, 0] += 1
        path = folder / f"{number:06d}.npy"
        np.save(path, shard, allow_pickle=False)
        maps.append(np.load(path, mmap_mode="r", allow_pickle=False))
        rows[start:stop, 0], rows[start:stop, 1] = number, np.arange(stop - start)
    return CachedFeatures(shape, maps, rows)
