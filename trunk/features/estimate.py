"""Estimate what filling a cache takes, before it begins: bytes on disk, and time, from a short pass of the trunk."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from trunk.errors import TrunkError
from trunk.features.cache import BATCH_SIZE, FITTED_IMAGES, SHARD_BYTES, FeatureCache, Missing
from trunk.features.views import decode_views
from trunk.images import DECODING_THREADS

SHORT, LONG = 8, 64  # images of the measured pass
QUICK = 0.2  # seconds; a short pass that took less is repeated with more images
SHARD_EXTRA = 1024  # bytes of a shard, at most: array header and record, keys aside


class Estimate(NamedTuple):
    """`rows` of `images` wanted ones are missing (an image's views count one by one).

    feature_bytes: of the arrays, exactly. disk_bytes: with the records beside them. free_bytes: of the cache's disk.
    """

    images: int
    rows: int
    feature_bytes: int
    disk_bytes: int
    free_bytes: int
    seconds: float
    folder: Path

    @property
    def fits(self) -> bool:
        """Whether the disk has the room."""
        return self.disk_bytes <= self.free_bytes

    def record(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {**self._asdict(), "folder": str(self.folder), "seconds": round(self.seconds, 3), "fits": self.fits}

    def sentence(self) -> str:
        """What is about to be done."""
        if not self.rows:
            return f"The features of all {self.images:,} images are cached already."
        return (
            f"{self.rows:,} maps of features are missing: about {shown_seconds(self.seconds)} and "
            f"{shown_bytes(self.disk_bytes)} in {self.folder} ({shown_bytes(self.free_bytes)} free)."
        )


def estimate_fill(
    cache: FeatureCache, images: Mapping[str, Path], depths: Sequence[int], missing: Missing, *, fit_on: int = 0
) -> Estimate:
    """Estimate `cache.fill(images, depths)` of which `missing` is left to do; nothing is written.

    fit_on: how many images a storage that is still to be fitted would be fitted on.
    """
    feature_bytes = sum(cache.row_bytes(depth) for lacking in missing.values() for depth in lacking)
    keys = sum(len(lacking) * (len(key) + len('    "",\n')) for key, lacking in missing.items())
    shards = feature_bytes // SHARD_BYTES + len(depths)
    folder = cache.folder
    while not folder.exists():
        folder = folder.parent
    unfitted = cache.unfitted(depths)
    fitted = min(fit_on or len(images), FITTED_IMAGES) if unfitted else 0
    # What a codec fits: a row of float32 per component or bound, and one more.
    codecs = sum(4 * cache.trunk.feature_shape(depth)[0] * (cache.storage.components + 2) for depth in unfitted)
    passed = sum(-(-count // BATCH_SIZE) * BATCH_SIZE for count in (len(missing), fitted))
    rows = [(key, images[key]) for key in missing]
    return Estimate(
        images=len({key.partition("/")[0] for key in images}),
        rows=len(missing),
        feature_bytes=feature_bytes,
        disk_bytes=feature_bytes + keys + codecs + SHARD_EXTRA * shards if missing else 0,
        free_bytes=shutil.disk_usage(folder).free,
        seconds=passed * seconds_per_row(cache, rows, depths) if missing else 0.0,
        folder=cache.folder,
    )


def joined_estimates(estimates: Sequence[Estimate]) -> Estimate:
    """One estimate of fills that follow one another, at least one of them, of different images in one cache."""
    first = estimates[0]
    summed = ("images", "rows", "feature_bytes", "disk_bytes", "seconds")
    return first._replace(**{name: sum(getattr(estimate, name) for estimate in estimates) for name in summed})


def seconds_per_row(cache: FeatureCache, rows: Sequence[tuple[str, Path]], depths: Sequence[int]) -> float:
    """Seconds that one row takes, decoding included, measured on some of `rows`.

    On a CPU decoding shares the cores with the trunk, beside a GPU it runs meanwhile.
    """

    def measured(count: int) -> tuple[float, float]:
        chosen = rows[:: max(1, len(rows) // count)][:count]
        started = time.perf_counter()
        pixels = torch.from_numpy(decode_views(chosen, cache.trunk.preprocessing))
        decoded = time.perf_counter()
        for features in cache.run_trunk(pixels, depths).values():
            features.sum().item()  # waits for the device
        ended = time.perf_counter()
        return (decoded - started) / DECODING_THREADS / len(chosen), (ended - decoded) / len(chosen)

    measured(SHORT)  # the first pass of a process loads what the later ones use
    decoding, computing = measured(SHORT)
    if (decoding + computing) * SHORT < QUICK:
        decoding, computing = measured(LONG)
    device = next(cache.trunk.chain.parameters()).device
    return decoding + computing if device.type == "cpu" else max(decoding, computing)


def require_room(estimate: Estimate) -> None:
    """Raise TrunkError where the disk has not that much room."""
    if not estimate.fits:
        raise TrunkError(
            f"The features of {estimate.rows:,} images and views need {shown_bytes(estimate.disk_bytes)} in "
            f"{estimate.folder}, whose disk has {shown_bytes(estimate.free_bytes)} free; free some space, set "
            f"project.runs to a larger disk, or lower it by features.storage."
        )


def shown_bytes(count: float) -> str:
    """`count` bytes for people.

    >>> shown_bytes(512), shown_bytes(3_456_000), shown_bytes(2.5e9)
    ('512 B', '3.5 MB', '2.5 GB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def shown_seconds(count: float) -> str:
    """Seconds for people.

    >>> shown_seconds(0.4), shown_seconds(75), shown_seconds(6000)
    ('1 s', '75 s', '100 min')
    """
    return f"{max(1, round(count))} s" if count < 120 else f"{count / 60:.0f} min"
