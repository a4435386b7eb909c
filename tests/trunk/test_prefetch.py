from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trunk.cached_features import CachedFeatures
from trunk.errors import TrunkError
from trunk.features import ArrayFeatures
from trunk.prefetch import prefetched


class Watched(ArrayFeatures):
    """Features that keep a list of the first row of each batch gathered, and have a row that cannot be read."""

    def __init__(self) -> None:
        super().__init__(np.random.default_rng(0).normal(size=(20, 3, 2, 2)).astype(np.float32))
        self.gathered: list[int] = []

    def gather(self, indices: torch.Tensor) -> torch.Tensor:
        self.gathered.append(int(indices[0]))
        if 13 in indices:
            raise TrunkError("row 13 cannot be read")
        return super().gather(indices)


def batches(*firsts: int) -> list[NDArray[np.int64]]:
    return [np.array([first, 2, first], dtype=np.int64) for first in firsts]


def test_batches_are_those_of_gather_in_their_order() -> None:
    features, order = Watched(), batches(4, 1, 9, 1)
    found = list(prefetched(features, order))
    assert [rows.tolist() for rows, _ in found] == [rows.tolist() for rows in order]
    for rows, maps in found:
        assert torch.equal(maps, features.array[rows])


def test_one_batch_is_gathered_ahead_and_no_more() -> None:
    features, order = Watched(), batches(4, 1, 9, 7)
    asked: list[int] = []

    def watched_order() -> Iterator[NDArray[np.int64]]:
        for rows in order:
            asked.append(int(rows[0]))
            yield rows

    coming = prefetched(features, watched_order())
    next(coming)
    assert asked == [4, 1]
    coming.close()  # waits for the reader
    assert features.gathered == [4, 1]


def test_cached_features_are_those_of_gather_until_the_next_batch_is_asked_for() -> None:
    rng = np.random.default_rng(1)
    shards = [rng.normal(size=(n, 2, 2, 3)).astype(np.float16) for n in (7, 5)]
    rows = np.array([(shard, row) for shard, held in enumerate(shards) for row in range(len(held))])
    cached = CachedFeatures((3, 2, 2), shards, rows[rng.permutation(12)])
    order = [*batches(4, 1, 9), np.array([0, 11], dtype=np.int64), *batches(7)]
    for (index, maps), wanted in zip(prefetched(cached, order), order, strict=True):
        shard, row = cached.rows[wanted].T
        expected = np.stack([shards[s][r] for s, r in zip(shard, row, strict=True)]).transpose(0, 3, 1, 2)
        assert index.tolist() == wanted.tolist()
        assert torch.equal(maps, torch.from_numpy(expected).float())
        assert torch.equal(maps, cached.gather(index))


def test_no_batches_are_no_batches() -> None:
    assert list(prefetched(Watched(), [])) == []


def test_an_error_comes_with_the_batch_it_belongs_to() -> None:
    coming = prefetched(Watched(), batches(4, 13, 5))
    assert next(coming)[0][0] == 4
    with pytest.raises(TrunkError, match="row 13"):
        next(coming)
