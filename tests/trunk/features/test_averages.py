"""Averages of all depths: those of the trunk's maps, from one pass; what is kept is not computed again."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from subdatasets.image_files import content_hash, read_image
from tests.trunk.features.test_cache import forbid_the_trunk
from trunk.errors import TrunkError
from trunk.features import averages as module
from trunk.features.averages import AverageCache, require_numbers
from trunk.features.cache import FeatureCache
from trunk.trunk import Trunk


@pytest.fixture
def images(pictures: list[tuple[Path, int, int]]) -> dict[str, Path]:
    return {content_hash(path): path for path, _, _ in pictures}


def kept(trunk: Trunk, folder: Path) -> AverageCache:
    return AverageCache(FeatureCache(folder, trunk))


def test_they_are_the_means_of_the_maps_at_every_depth(trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    averages = kept(trunk, tmp_path)
    assert averages.fill(images) == len(images)
    keys = list(images)[::-1]
    rows = averages.read(keys)
    assert rows.shape == (len(keys), sum(averages.widths))
    pixels = torch.stack([trunk.preprocessing.apply(read_image(images[key])) for key in keys])
    captured = trunk.capture(pixels, trunk.depths)
    expected = torch.cat([captured[depth].mean((2, 3)) for depth in trunk.depths], dim=1)
    torch.testing.assert_close(torch.from_numpy(rows), expected, rtol=1e-4, atol=1e-5)


def test_an_image_passes_the_trunk_once(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = dict(list(images.items())[:25])
    assert kept(trunk, tmp_path).fill(some) == 25
    assert kept(trunk, tmp_path).fill(images) == len(images) - 25
    forbid_the_trunk(trunk, monkeypatch)
    assert kept(trunk, tmp_path).fill(images) == 0


def test_what_is_stopped_loses_at_most_a_shard(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunk.features.cache.BATCH_SIZE", 8)
    monkeypatch.setattr(module, "SHARD_ROWS", 16)

    def stop(_stage: str, done: int, _total: int, _figures: Mapping[str, float]) -> None:
        if done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(trunk, tmp_path).fill(images, progress=stop)
    assert kept(trunk, tmp_path).fill(images) == len(images) - 32
    whole = kept(trunk, tmp_path / "whole")
    whole.fill(images)
    assert np.array_equal(kept(trunk, tmp_path).read(list(images)), whole.read(list(images)))


def test_a_damaged_shard_is_done_again(trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    averages = kept(trunk, tmp_path)
    averages.fill(images)
    shard = next(averages.folder.glob("*.npy"))
    rows = len(json.loads(shard.with_suffix(".json").read_text())["hashes"])
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert kept(trunk, tmp_path).fill(images) == rows
    with pytest.raises(TrunkError, match="1 of 1 images are not in"):
        averages.read(["another"])


def test_features_that_are_no_numbers_are_refused_with_their_depth() -> None:
    rows = np.zeros((3, 6), dtype=np.float32)
    require_numbers(rows, [2, 4])
    rows[1, 3] = np.nan
    with pytest.raises(TrunkError, match="no numbers after 2 blocks"):
        require_numbers(rows, [2, 4])
