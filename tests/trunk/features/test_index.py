"""The index of a cache: what was found whole is not read again, and nothing that it says is believed of other files."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from subdatasets.image_files import content_hash
from trunk.errors import TrunkError
from trunk.features import cache as feature_cache
from trunk.features import index as indexing
from trunk.features.cache import FeatureCache
from trunk.features.index import INDEX, Index, Shard, changed, digests, load, save
from trunk.trunk import Trunk

OF = {"shape": [1], "codec": None}


@pytest.fixture
def images(pictures: list[tuple[Path, int, int]]) -> dict[str, Path]:
    return {content_hash(path): path for path, _, _ in pictures[:20]}


@pytest.fixture
def cache(trunk: Trunk, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureCache:
    """Two shards, of 12 and of 8 images; nothing counts as written just now."""
    monkeypatch.setattr(indexing, "FRESH", -60.0)
    cache = FeatureCache(tmp_path, trunk)
    cache.fill(dict(list(images.items())[:12]), [4])
    cache.fill(images, [4])
    return cache


def keys(count: int, start: int = 0) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(start, start + count)]


def made_up(*parts: list[str]) -> Index:
    """An index of a shard per part."""
    shards = [(Shard(f"s{number}", [[1], [2]], len(part)), digests(part)) for number, part in enumerate(parts)]
    return changed(Index.empty(), set(), shards)


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("a shard was read although it was found whole before")

    monkeypatch.setattr(feature_cache, "read_shard_record", refuse)


def test_keys_are_found_where_their_rows_lie() -> None:
    plain, views = keys(50), [f"{key}/flip" for key in keys(5)]
    index = made_up(plain[:30], views, plain[30:])
    assert index.find([plain[3], views[2], plain[40], "absent", plain[0].upper()]).tolist() == [
        *([0, 3], [1, 2], [2, 10]),
        *([-1, -1], [-1, -1]),
    ]
    assert len(index) == 55
    assert plain[7] in index
    assert "f" * 64 not in index
    assert Index.empty().find(["a"]).tolist() == [[-1, -1]]


def test_every_key_has_a_digest_of_its_own() -> None:
    plain = keys(3)
    odd = [plain[0].upper(), plain[0][:62] + "  ", "", "a", plain[0] + plain[1], f"{plain[0]}/flip", plain[0][:-1]]
    words = digests([*plain, *odd])
    assert np.array_equal(words[:3], digests(plain))
    assert len({row.tobytes() for row in words}) == len(words)
    assert words[0].astype(">u8").tobytes().hex() == plain[0]


def test_many_keys_are_looked_up_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "CHUNK", 7)
    wanted = keys(60, start=20)
    found = made_up(keys(40), keys(40, start=40)).find(wanted)
    assert found.tolist() == [[number // 40, number % 40] for number in range(20, 80)]


def test_keys_whose_digests_begin_alike_are_told_apart() -> None:
    alike = [f"{'0' * 15}1{number:048x}" for number in (5, 3, 9)]
    index = made_up(alike[:2], alike[2:])
    assert index.find([*alike, f"{'0' * 15}1{'0' * 48}"]).tolist() == [[0, 0], [0, 1], [1, 0], [-1, -1]]


def test_a_key_that_is_there_twice_counts_once_and_stays_when_one_shard_goes() -> None:
    index = made_up(keys(4), keys(3))
    assert len(index) == 4
    assert index.find(keys(1)).tolist() == [[0, 0]]
    without = changed(index, {"s0"}, [])
    assert [shard.name for shard in without.shards] == ["s1"]
    assert without.find(keys(4)).tolist() == [[0, 0], [0, 1], [0, 2], [-1, -1]]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    index = made_up(keys(9), keys(4, start=9))
    save(index, tmp_path, OF)
    again = load(tmp_path, OF)
    assert again.shards == index.shards
    assert np.array_equal(again.find(keys(15)), index.find(keys(15)))
    assert not load(tmp_path, {**OF, "shape": [2]}).shards
    save(Index.empty(), tmp_path, OF)
    assert not load(tmp_path, OF).shards


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-8],
        lambda data: data[:30],
        lambda data: b"",
        lambda data: b"[1, 2]\n" + data,
        lambda data: data.replace(b'"rows": 13', b'"rows": -3'),
        lambda data: data.replace(b'"rows": 13', b'"rows": 99999999999999999999'),
        lambda data: data.replace(b'"format": 1', b'"format": 2'),
        lambda data: data[:-8] + b"\xff" * 8,  # a row of a shard that there is not
        lambda data: b"[" * 100_000,
        lambda data: b"\xff\xfe" + data,
    ],
)
def test_a_damaged_index_is_none(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    save(made_up(keys(9), keys(4, start=9)), tmp_path, OF)
    path = tmp_path / INDEX
    path.write_bytes(damage(path.read_bytes()))
    assert not load(tmp_path, OF).shards


def test_what_was_found_whole_is_not_read_again(
    cache: FeatureCache, trunk: Trunk, images: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = torch.arange(20)
    expected = cache.open(images, 4).gather(rows)
    forbid_reading(monkeypatch)
    again = FeatureCache(cache.folder, trunk)
    assert again.fill(images, [4]) == 0
    assert torch.equal(again.open(images, 4).gather(rows), expected)


def test_only_the_shards_that_are_needed_are_opened(cache: FeatureCache, images: dict[str, Path]) -> None:
    assert len(cache.open(list(images)[:5], 4).shards) == 1
    assert len(cache.open(list(images)[10:14], 4).shards) == 2
    assert len(cache.open([], 4)) == 0


def test_a_shard_that_changed_is_read_again_and_one_that_is_gone_is_missing(
    cache: FeatureCache, trunk: Trunk, images: dict[str, Path]
) -> None:
    first, second = sorted((cache.folder / "depth04").glob("*.npy"))
    data = bytearray(first.read_bytes())
    data[-3] ^= 1
    first.write_bytes(data)
    rows = {len(FeatureCache(cache.folder, trunk).missing(images, [4]))}
    assert rows <= {8, 12}
    assert not first.exists()
    second.unlink()
    assert len(cache.missing(images, [4])) == 20


def test_shards_that_were_written_just_now_are_read_again_by_whoever_comes_next(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(tmp_path, trunk)
    cache.fill(images, [4])
    assert not (tmp_path / "depth04" / INDEX).exists()
    for path in (tmp_path / "depth04").iterdir():
        os.utime(path, (1, 1))
    assert not FeatureCache(tmp_path, trunk).missing(images, [4])
    forbid_reading(monkeypatch)
    assert not FeatureCache(tmp_path, trunk).missing(images, [4])


def test_a_full_check_finds_what_times_and_sizes_do_not_show(
    cache: FeatureCache, trunk: Trunk, images: dict[str, Path]
) -> None:
    assert cache.verify(4)[0::3] == (2, 0)
    array = next((cache.folder / "depth04").glob("*.npy"))
    before, data = array.stat(), bytearray(array.read_bytes())
    data[-3] ^= 1
    array.write_bytes(data)
    os.utime(array, ns=(before.st_atime_ns, before.st_mtime_ns))
    fresh = FeatureCache(cache.folder, trunk)
    assert not fresh.missing(images, [4])
    found = fresh.verify(4)
    assert (found.shards, found.damaged) == (1, 1)
    assert len(fresh.missing(images, [4])) == 20 - found.rows
    assert fresh.fill(images, [4]) == 20 - found.rows


def test_an_index_that_tells_of_rows_that_are_not_there_is_deleted(
    cache: FeatureCache, trunk: Trunk, images: dict[str, Path]
) -> None:
    path = cache.folder / "depth04" / INDEX
    path.write_bytes(path.read_bytes()[:-4] + b"\x00\x01\x00\x00")  # row 256
    fresh = FeatureCache(cache.folder, trunk)
    with pytest.raises(TrunkError, match="did not fit the shards beside it and was deleted; call again"):
        fresh.open(images, 4)
    assert len(FeatureCache(cache.folder, trunk).open(images, 4)) == 20
