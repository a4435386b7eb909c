"""Views: the same image each time, cached beside the plain one, drawn anew in every epoch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from subdatasets.image_files import content_hash, read_image
from trunk.features.cache import FeatureCache
from trunk.features.cached import CachedFeatures, drawn
from trunk.features.source import ArrayFeatures
from trunk.features.views import decode_views, key_of, seen
from trunk.trunk import Trunk


@pytest.fixture
def images(pictures: list[tuple[Path, int, int]]) -> dict[str, Path]:
    return {content_hash(path): path for path, _, _ in pictures[:12]}


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("view", ["flip", "crop1", "light1", "flip+crop2+light3"])
def test_a_view_is_the_same_each_time_and_not_the_plain_image(view: str, images: dict[str, Path]) -> None:
    content, path = next(iter(images.items()))
    image = read_image(path)
    first = pixels(seen(image, key_of(content, view)))
    assert np.array_equal(first, pixels(seen(image, key_of(content, view))))
    plain = pixels(seen(image, content))
    assert np.array_equal(plain, pixels(image))
    assert first.shape != plain.shape or not np.array_equal(first, plain)


def test_parts_are_what_they_are_called(images: dict[str, Path]) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 200, (40, 60, 3)).astype(np.uint8))
    assert np.array_equal(pixels(seen(image, "a/flip")), pixels(ImageOps.mirror(image)))
    crops = [seen(image, f"{content}/crop{n}") for content in "ab" for n in (1, 2)]
    assert len({crop.tobytes() for crop in crops}) == 4  # other images and other numbers have other crops
    for crop in crops:
        assert 45 <= crop.width <= 60
        assert 30 <= crop.height <= 40
        windows = np.lib.stride_tricks.sliding_window_view(pixels(image), (crop.height, crop.width), (0, 1))
        assert (windows.transpose(0, 1, 3, 4, 2) == pixels(crop)).all((2, 3, 4)).any()
    lit = pixels(seen(image, "a/light1"))
    assert lit.shape == pixels(image).shape
    assert 0 < np.abs(lit - pixels(image)).mean() < 60


def test_an_image_is_read_once_for_its_views(
    images: dict[str, Path], trunk: Trunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def reading(path: Path, **how: Any) -> Image.Image:
        read.append(path)
        return read_image(path, **how)

    monkeypatch.setattr("trunk.preprocessing.read_image", reading)
    rows = [(key_of(content, view), path) for content, path in images.items() for view in ("plain", "flip")]
    found = decode_views(rows, trunk.preprocessing)
    assert read == list(images.values())
    assert np.array_equal(found[1::2], found[::2, :, ::-1])


def test_a_view_added_later_is_the_only_thing_computed(trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, trunk)
    assert cache.fill(images, [4]) == 12
    before = {path: path.read_bytes() for path in (tmp_path / "depth04").iterdir()}
    both = {key_of(content, view): path for content, path in images.items() for view in ("plain", "flip")}
    assert cache.fill(both, [4]) == 12
    assert cache.fill(both, [4]) == 0
    assert all(path.read_bytes() == content for path, content in before.items())
    # The features of the flipped image, as the trunk gives them.
    flipped = np.stack([trunk.preprocessing.pixels(ImageOps.mirror(read_image(path))) for path in images.values()])
    expected = trunk(trunk.preprocessing.normalise(torch.from_numpy(flipped)), 4)
    found = cache.open([key_of(content, "flip") for content in images], 4).gather(torch.arange(12))
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-3)


def viewed(images: int, views: int) -> CachedFeatures:
    """Features whose one number says which row of the shard it is; view v of image n is row v * images + n."""
    shard = np.arange((views + 1) * images, dtype=np.float16).reshape(-1, 1, 1, 1)
    rows = np.stack([np.zeros(len(shard), dtype=np.int64), np.arange(len(shard))], axis=1)
    whole = CachedFeatures((1, 1, 1), [shard], rows)
    others = [whole.part(images * view, images * (view + 1)) for view in range(1, views + 1)]
    return whole.part(0, images).with_views(others)


def numbers(features: object) -> np.ndarray:
    assert isinstance(features, CachedFeatures)
    return features.gather(torch.arange(len(features))).flatten().numpy().astype(int)


def test_an_epoch_draws_one_view_of_every_image() -> None:
    features = viewed(200, 3)
    assert np.array_equal(numbers(features), np.arange(200))  # without drawing: the plain view
    epochs = [numbers(drawn(features, np.random.default_rng([7, epoch]))) for epoch in range(40)]
    again = numbers(drawn(features, np.random.default_rng([7, 3])))
    assert np.array_equal(again, epochs[3])
    assert not np.array_equal(epochs[3], epochs[4])
    for epoch in epochs:
        assert np.array_equal(epoch % 200, np.arange(200))  # every image is itself
    shares = np.bincount(np.concatenate(epochs) // 200, minlength=4) / 8000
    assert np.abs(shares - 0.25).max() < 0.03
    assert np.array_equal(numbers(features.part(5, 9)), np.arange(5, 9))
    assert set(numbers(drawn(features.part(5, 9), np.random.default_rng(0))) % 200) == set(range(5, 9))


def test_without_views_nothing_is_drawn() -> None:
    rng = np.random.default_rng(0)
    for features in (viewed(4, 0), ArrayFeatures(np.zeros((3, 2)))):
        assert drawn(features, rng) is features
    assert rng.random() == np.random.default_rng(0).random()
