import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trunk.errors import TrunkError
from trunk.features.cached import CachedFeatures, averaged, prefetched
from trunk.features.source import ArrayFeatures

CPU, GPU = torch.device("cpu"), torch.device("cuda")  # only told apart: nothing is moved
DEVICES = pytest.mark.parametrize("device", [CPU, GPU], ids=["told ahead", "read ahead"])


class Watched(CachedFeatures):
    """Features that keep a list of the first row of each batch read, and have a row that cannot be read."""

    def __init__(self) -> None:
        shard = np.random.default_rng(0).normal(size=(20, 2, 2, 3)).astype(np.float16)
        super().__init__((3, 2, 2), [shard], np.array([(0, row) for row in range(20)]))
        self.gathered: list[int] = []
        self.expected: list[int] = []

    def expect(self, indices: torch.Tensor) -> None:
        self.expected.append(int(indices[0]))

    def gather_into(self, held: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        self.gathered.append(int(indices[0]))
        if 13 in indices:
            raise TrunkError("row 13 cannot be read")
        return super().gather_into(held, indices)


def batches(*firsts: int) -> list[NDArray[np.int64]]:
    return [np.array([first, 2, first], dtype=np.int64) for first in firsts]


@DEVICES
def test_batches_in_memory_are_those_of_gather_in_their_order(device: torch.device) -> None:
    features, order = ArrayFeatures(np.random.default_rng(0).normal(size=(20, 3, 2, 2))), batches(4, 1, 9, 1)
    found = list(prefetched(features, order, device))
    assert [rows.tolist() for rows, _ in found] == [rows.tolist() for rows in order]
    for rows, maps in found:
        assert torch.equal(maps, features.array[rows].float())


@pytest.mark.parametrize(("device", "gathered", "expected"), [(CPU, [4], [4, 1]), (GPU, [4, 1], [])])
def test_one_batch_is_read_or_told_ahead_and_no_more(
    device: torch.device, gathered: list[int], expected: list[int]
) -> None:
    features, order = Watched(), batches(4, 1, 9, 7)
    asked: list[int] = []

    def watched_order() -> Iterator[NDArray[np.int64]]:
        for rows in order:
            asked.append(int(rows[0]))
            yield rows

    coming = prefetched(features, watched_order(), device)
    next(coming)
    assert asked == [4, 1]
    until = time.monotonic() + 10  # closing calls off what the reader has not begun
    while features.gathered != gathered and time.monotonic() < until:
        time.sleep(0.001)
    coming.close()
    assert (features.gathered, features.expected) == (gathered, expected)


@DEVICES
def test_cached_features_are_those_of_gather_until_the_next_batch_is_asked_for(device: torch.device) -> None:
    rng = np.random.default_rng(1)
    shards = [rng.normal(size=(n, 2, 2, 3)).astype(np.float16) for n in (7, 5)]
    rows = np.array([(shard, row) for shard, held in enumerate(shards) for row in range(len(held))])
    cached = CachedFeatures((3, 2, 2), shards, rows[rng.permutation(12)])
    order = [*batches(4, 1, 9), np.array([0, 11], dtype=np.int64), *batches(7)]
    for (index, maps), wanted in zip(prefetched(cached, order, device), order, strict=True):
        shard, row = cached.rows[wanted].T
        expected = np.stack([shards[s][r] for s, r in zip(shard, row, strict=True)]).transpose(0, 3, 1, 2)
        assert index.tolist() == wanted.tolist()
        assert torch.equal(maps, torch.from_numpy(expected).float())
        assert torch.equal(maps, cached.gather(index))


def test_mapped_rows_are_told_to_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).normal(size=(6, 20, 20, 8)).astype(np.float16)
    np.save(tmp_path / "shard.npy", array)
    mapped = np.load(tmp_path / "shard.npy", mmap_mode="r")
    cached = CachedFeatures((8, 20, 20), [mapped, array], np.array([(0, 5), (1, 0), (0, 2)]))
    told: list[tuple[int, int]] = []

    cached.expect(torch.tensor([0, 1, 2]))  # the system takes what it is told
    monkeypatch.setattr("trunk.features.cached.advise", lambda _, start, length: told.append((start, start + length)))
    cached.expect(torch.tensor([0, 1, 2]))
    assert len(told) == 2  # what lies in memory is left out
    for (start, stop), row in zip(told, (2, 5), strict=True):
        first = mapped.offset + row * array[0].nbytes
        assert start % 4096 == 0
        assert first - 4096 < start <= first
        assert stop == first + array[0].nbytes


@DEVICES
def test_no_batches_are_no_batches(device: torch.device) -> None:
    assert list(prefetched(Watched(), [], device)) == []


@DEVICES
def test_an_error_comes_with_the_batch_it_belongs_to(device: torch.device) -> None:
    coming = prefetched(Watched(), batches(4, 13, 5), device)
    assert next(coming)[0][0] == 4
    with pytest.raises(TrunkError, match="row 13"):
        next(coming)


@pytest.mark.parametrize("shape", [(48, 4, 4), (3, 17, 1), (1, 2, 2)])
def test_averages_are_those_of_each_row_alone_to_the_bit(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    channels, height, width = shape
    shard = np.random.default_rng(0).normal(size=(70, height, width, channels)).astype(np.float16)
    rows = np.random.default_rng(1).permutation(70)
    cache = CachedFeatures(shape, [shard], np.stack([np.zeros(70, dtype=np.int64), rows], 1))
    plain = ArrayFeatures(np.ascontiguousarray(shard.transpose(0, 3, 1, 2)))
    for features in (cache, plain):
        alone = [features.gather(torch.tensor([row])).mean((2, 3)) for row in range(70)]
        for size in (1, 3, 64, 1024):
            monkeypatch.setattr("trunk.features.cached.AVERAGED_ROWS", size)
            assert torch.equal(averaged(features), torch.cat(alone)), size
    assert averaged(cache.part(0, 0)).shape == (0, channels)
