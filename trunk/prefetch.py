"""Batches of features in a given order; those on the disk are asked for ahead, while one before is worked on."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trunk.cached_features import CachedFeatures
from trunk.features import FeatureSource

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
        yield from _read_ahead(_in_places(features, 2), batches)


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


def _read_ahead(gather: Callable[[Tensor], Tensor], batches: Iterable[NDArray[np.int64]]) -> Batches:
    with ThreadPoolExecutor(1, thread_name_prefix="features") as reader:
        due: tuple[Tensor, Future[Tensor]] | None = None
        for rows in batches:
            index = torch.from_numpy(rows)
            coming = index, reader.submit(gather, index)
            if due is not None:
                yield due[0], due[1].result()
            due = coming
        if due is not None:
            yield due[0], due[1].result()


def _in_places(features: CachedFeatures, count: int) -> Callable[[Tensor], Tensor]:
    """`gather` into so many places in turn."""
    channels, height, width = features.shape
    places = [torch.empty(0)] * count

    def gather(index: Tensor) -> Tensor:
        place = places.pop(0)
        wanted = (len(index), height, width, channels)
        places.append(place if place.shape == wanted else torch.empty(wanted))
        return features.gather_into(places[-1], index)

    return gather
