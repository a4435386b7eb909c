"""Batches of features gathered by a second thread, each while the one before is worked on."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trunk.cached_features import CachedFeatures
from trunk.features import FeatureSource


def prefetched(
    features: FeatureSource, batches: Iterable[NDArray[np.int64]]
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """For each batch of rows, in their order: the rows (n,) as a tensor and their features, float32 (n, C, H, W).

    At most one batch is held ahead, and a batch's features are good until the next is asked for: cached ones are read
    into the same two places in turn. `batches` is read in the caller's thread, so the order does not depend on the
    reader's pace. What `gather` raises is raised where its batch is due.
    """
    gather = _in_two_places(features) if isinstance(features, CachedFeatures) else features.gather
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


def _in_two_places(features: CachedFeatures) -> Callable[[Tensor], Tensor]:
    channels, height, width = features.shape
    places = [torch.empty(0), torch.empty(0)]

    def gather(index: Tensor) -> Tensor:
        places.reverse()
        wanted = (len(index), height, width, channels)
        if places[0].shape != wanted:
            places[0] = torch.empty(wanted)
        return features.gather_into(places[0], index)

    return gather
