"""The estimate: bytes are what is written, time comes from a measured pass, a disk without room is refused."""

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from subdatasets.image_files import content_hash
from trunk.errors import TrunkError
from trunk.features import estimate as cache_estimate
from trunk.features.cache import FeatureCache
from trunk.features.estimate import Estimate, estimate_fill, require_room
from trunk.features.views import key_of
from trunk.trunk import Trunk

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def images(pictures: list[tuple[Path, int, int]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path, _, _ in pictures[:20]:
        content = content_hash(path)
        found |= {content: path, key_of(content, "flip"): path}
    return found


def estimated(cache: FeatureCache, images: dict[str, Path], depths: list[int]) -> Estimate:
    return estimate_fill(cache, images, depths, cache.missing(images, depths))


def written(folder: Path) -> tuple[int, int]:
    """(bytes of features, bytes of files) under the folder."""
    arrays = sum(np.load(path).nbytes for path in folder.rglob("depth*/*.npy"))
    return arrays, sum(path.stat().st_size for path in folder.rglob("depth*/*") if path.is_file())


@pytest.mark.parametrize("storage", ["float16", "float32", "int8", "pca:8"])
def test_bytes_are_those_that_are_written(storage: str, trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", trunk, storage=storage)
    some = dict(list(images.items())[:10])
    for wanted, depths in ((some, [4]), (images, [4]), (images, [3, 4])):
        before = written(tmp_path)
        estimate = estimated(cache, wanted, depths)
        assert written(tmp_path) == before  # nothing is written by estimating
        assert estimate.images == len(wanted) // 2
        assert cache.fill(wanted, depths) == estimate.rows
        after = written(tmp_path)
        assert after[0] - before[0] == estimate.feature_bytes
        assert estimate.disk_bytes - 8192 <= after[1] - before[1] <= estimate.disk_bytes
    done = estimated(cache, images, [3, 4])
    assert (done.rows, done.feature_bytes, done.disk_bytes, done.seconds) == (0, 0, 0, 0.0)
    assert done.sentence() == "The features of all 20 images are cached already."


def test_time_is_measured_and_counts_whole_batches_and_the_fit(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[int] = []

    def half_a_second(cache: FeatureCache, rows: list[object], depths: list[int]) -> float:
        passed.append(len(rows))
        return 0.5

    monkeypatch.setattr(cache_estimate, "seconds_per_row", half_a_second)
    assert estimated(FeatureCache(tmp_path / "a", trunk), images, [4]).seconds == 32.0  # one batch of 64
    fitting = FeatureCache(tmp_path / "b", trunk, storage="int8")
    missing = fitting.missing(images, [4])
    assert estimate_fill(fitting, images, [4], missing, fit_on=70).seconds == (64 + 128) * 0.5
    fitting.fill(dict(list(images.items())[:4]), [4])
    assert estimated(fitting, images, [4]).seconds == 32.0
    assert passed == [40, 40, 36]


def test_the_measured_pass_gives_a_time(trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    estimate = estimated(FeatureCache(tmp_path, trunk), images, [4])
    assert 0 < estimate.seconds < 60
    assert estimate.record()["fits"] is True
    assert "40 maps of features are missing" in estimate.sentence()


def test_a_disk_without_room_is_refused_in_one_sentence(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(tmp_path / "not" / "yet", trunk)
    estimate = estimated(cache, images, [4])
    for free, fits in ((estimate.disk_bytes, True), (estimate.disk_bytes - 1, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: Usage(0, 0, free))
        found = estimated(cache, images, [4])
        assert found.fits is fits
    with pytest.raises(TrunkError, match=r"40 images and views need .* kB in .*, whose disk has .* kB free; free some"):
        require_room(found)
