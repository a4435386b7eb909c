import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from subdatasets.errors import DataError
from subdatasets.image_files import content_hash, read_image
from tests.trunk.conftest import make_trunk
from trunk.errors import TrunkError
from trunk.features import cache as feature_cache
from trunk.features.cache import FeatureCache
from trunk.trunk import Trunk, trunk_state


@pytest.fixture
def images(pictures: list[tuple[Path, int, int]]) -> dict[str, Path]:
    return {content_hash(path): path for path, _, _ in pictures[:20]}


def forbid_the_trunk(trunk: Trunk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("the trunk ran although everything is cached")

    monkeypatch.setattr(trunk, "capture", refuse)


def test_cached_features_are_the_trunks(trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", trunk)
    assert cache.fill(images, [2, 4]) == 20
    contents = list(images)[::-1]
    for depth in (2, 4):
        features = cache.open(contents, depth)
        assert features.shape == trunk.feature_shape(depth)
        assert len(features) == 20
        wanted = torch.tensor([3, 19, 3])
        pixels = torch.stack([trunk.preprocessing.apply(read_image(images[contents[n]])) for n in wanted.tolist()])
        expected = trunk(pixels, depth)
        torch.testing.assert_close(features.gather(wanted), expected, rtol=2e-3, atol=1e-3)
        part = features.part(2, 5)
        assert len(part) == 3
        assert torch.equal(part.gather(torch.tensor([1])), features.gather(torch.tensor([3])))


def test_a_second_fill_never_runs_the_trunk(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FeatureCache(tmp_path, trunk).fill(images, [3, 4])
    forbid_the_trunk(trunk, monkeypatch)
    again = FeatureCache(tmp_path, trunk)
    assert again.fill(images, [4]) == 0
    assert len(again.open(images, 3)) == 20


def test_only_what_is_missing_is_computed(trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, trunk)
    some = dict(list(images.items())[:5])
    assert cache.fill(some, [4]) == 5
    assert cache.fill(images, [4]) == 15
    assert cache.fill(images, [2, 4]) == 20  # a new depth needs a pass, but depth 4 is not written twice
    _, index = cache.read_index(4)
    assert len(index) == 20
    stored = sum(len(json.loads(path.read_text())["hashes"]) for path in (tmp_path / "depth04").glob("*.json"))
    assert stored == 20


def test_features_do_not_depend_on_what_is_computed_with_them(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path
) -> None:
    together, alone = FeatureCache(tmp_path / "together", trunk), FeatureCache(tmp_path / "alone", trunk)
    together.fill(images, [2, 4])
    listed = list(images.items())
    for first, last in ((0, 1), (1, 2), (2, 9), (9, 20)):
        alone.fill(dict(listed[first:last]), [2, 4])
    rows = torch.arange(len(images))
    for depth in (2, 4):
        assert torch.equal(together.open(images, depth).gather(rows), alone.open(images, depth).gather(rows))


def test_an_image_under_two_names_passes_once(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FeatureCache(tmp_path / "cache", trunk).fill(images, [4])
    copies = {}
    for content, path in images.items():
        copy = tmp_path / f"copy-of-{path.name}"
        copy.write_bytes(path.read_bytes())
        assert content_hash(copy) == content
        copies[content] = copy
    forbid_the_trunk(trunk, monkeypatch)
    assert FeatureCache(tmp_path / "cache", trunk).fill(copies, [4]) == 0


@pytest.mark.parametrize("damage", ["torn array", "flipped bit", "no array", "torn record"])
def test_a_damaged_shard_is_done_again(damage: str, trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, trunk)
    cache.fill(images, [4])
    expected = cache.open(images, 4).gather(torch.arange(20))
    (array,) = (tmp_path / "depth04").glob("*.npy")
    data = bytearray(array.read_bytes())
    if damage == "torn array":
        array.write_bytes(data[:-100])
    elif damage == "flipped bit":
        data[-7] ^= 4
        array.write_bytes(data)
    elif damage == "no array":
        array.unlink()
    else:
        record = array.with_suffix(".json")
        record.write_text(record.read_text()[:40])
    fresh = FeatureCache(tmp_path, trunk)
    assert fresh.fill(images, [4]) == 20
    assert torch.equal(fresh.open(images, 4).gather(torch.arange(20)), expected)


def test_a_shard_is_verified_once_and_again_when_it_changed(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FeatureCache(tmp_path, trunk).fill(images, [4])
    asked: list[Path] = []
    checksum = feature_cache.file_checksum

    def watched(path: Path) -> str:
        asked.append(path)
        return checksum(path)

    monkeypatch.setattr(feature_cache, "file_checksum", watched)
    cache = FeatureCache(tmp_path, trunk)
    assert cache.fill(images, [4]) == 0
    cache.open(images, 4)
    (array,) = asked
    data = array.read_bytes()
    array.write_bytes(data[:-100])
    assert cache.fill(images, [4]) == 20
    cache.open(images, 4)


def test_a_shard_without_record_is_not_read(trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, trunk)
    cache.fill(images, [4])
    for record in (tmp_path / "depth04").glob("*.json"):
        record.unlink()
    with pytest.raises(TrunkError, match="20 of 20 images are not in the feature cache"):
        cache.open(images, 4)
    assert cache.fill(images, [4]) == 20


def test_another_trunks_cache_is_refused_with_both_fingerprints(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path
) -> None:
    FeatureCache(tmp_path, trunk).fill(images, [4])
    other = make_trunk(seed=1)
    with pytest.raises(TrunkError, match=f"{trunk.fingerprint[:12]}.*{other.fingerprint[:12]}.*delete"):
        FeatureCache(tmp_path, other)
    with pytest.raises(TrunkError, match="bfloat16"):
        FeatureCache(tmp_path, trunk, precision="bfloat16")
    (tmp_path / "cache.json").unlink()
    with pytest.raises(TrunkError, match="unknown trunk"):
        FeatureCache(tmp_path, trunk)


def test_a_full_disk_is_one_sentence_and_keeps_what_is_cached(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(tmp_path, trunk)
    some = dict(list(images.items())[:5])
    cache.fill(some, [4])
    real = np.save

    def fill_the_disk(file: object, array: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", fill_the_disk)
    with pytest.raises(TrunkError, match="disk is full while writing features"):
        cache.fill(images, [4])
    monkeypatch.setattr(np, "save", real)
    assert not list(tmp_path.rglob("*.part"))
    assert FeatureCache(tmp_path, trunk).fill(images, [4]) == 15


def test_a_truncated_image_is_named(trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    whole = next(iter(images.values())).read_bytes()
    broken = tmp_path / "broken.png"
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"broken\.png"):
        FeatureCache(tmp_path / "cache", trunk).fill({"0" * 64: broken}, [4])


def test_bfloat16_features_are_close(trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    found = []
    for precision in ("float32", "bfloat16"):
        cache = FeatureCache(tmp_path / precision, trunk, precision=precision)
        cache.fill(images, [6])
        found.append(cache.open(images, 6).gather(torch.arange(20)))
    assert not torch.equal(found[0], found[1])
    assert float((found[0] - found[1]).abs().mean() / found[0].abs().mean()) < 0.02


def test_features_that_are_no_numbers_are_the_trunks_fault(images: dict[str, Path], tmp_path: Path) -> None:
    damaged = make_trunk()
    trunk_state(damaged.chain)["block2.1.running_var"][0] = -1.0
    cache = FeatureCache(tmp_path / "cache", damaged)
    with pytest.raises(
        TrunkError, match=rf"{damaged.fingerprint[:12]} \(small_cnn\) .* at depth 3: .*`graftnet trunk use`"
    ):
        cache.fill(images, [2, 3, 4])
    assert not list(tmp_path.rglob("*.npy"))
    assert cache.fill(images, [2]) == 20
