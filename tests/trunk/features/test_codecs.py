"""Storages: what is read back, what it costs on disk, what is fitted, and that one codec's rows are never another's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from subdatasets.image_files import content_hash, read_image
from trunk.checkpoints import load_checkpoint
from trunk.errors import TrunkError
from trunk.features.cache import FeatureCache
from trunk.features.cached import CachedFeatures
from trunk.features.codecs import Int8, Moments, Pca, fit_codec, read_codec
from trunk.features.settings import Storage
from trunk.trunk import Trunk


@pytest.fixture
def images(pictures: list[tuple[Path, int, int]]) -> dict[str, Path]:
    return {content_hash(path): path for path, _, _ in pictures[:20]}


def some_features(channels: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(channels, channels, generator=generator)
    return (torch.randn(40, 3, 2, channels, generator=generator) @ mixing + 1).relu()


def test_moments_do_not_depend_on_the_batches() -> None:
    features, whole = some_features(), Moments(6)
    for batch in features.split(7):
        whole.add(batch)
    rows = features.reshape(-1, 6).double()
    torch.testing.assert_close(whole.mean, rows.mean(0))
    torch.testing.assert_close(whole.covariance, torch.cov(rows.T, correction=0))
    assert torch.equal(whole.lowest, features.amin((0, 1, 2)))
    assert torch.equal(whole.highest, features.amax((0, 1, 2)))


def fitted(storage: Storage, features: torch.Tensor, folder: Path) -> Int8 | Pca:
    moments = Moments(features.shape[-1], products=storage.kind == "pca")
    moments.add(features)
    fit_codec(storage, moments, folder / "codec.safetensors", images=len(features))
    codec = read_codec(storage, folder / "codec.safetensors")
    assert isinstance(codec, Int8 | Pca)
    return codec


def test_int8_is_within_half_a_step_and_keeps_zeros(tmp_path: Path) -> None:
    features = some_features()
    features[..., 2] = 0.5  # a channel that never changes
    codec = fitted(Storage("int8"), features, tmp_path)
    assert isinstance(codec, Int8)
    stored = codec.encode(features)
    assert stored.dtype == np.int8
    assert stored.shape == features.shape
    restored = torch.from_numpy(stored).float()
    codec.restore(restored)
    error = (restored - features).abs().amax((0, 1, 2))
    assert bool((error <= codec.scale * 0.5 + 1e-6).all())
    assert bool((restored[features == 0] == 0).all())


def test_pca_is_scikit_learns(tmp_path: Path) -> None:
    features = some_features()
    codec = fitted(Storage("pca", 3), features, tmp_path)
    theirs = PCA(3).fit(features.reshape(-1, 6).double().numpy())
    expected = theirs.transform(features.reshape(-1, 6).double().numpy())
    found = codec.encode(features).reshape(-1, 3).astype(float)
    signs = np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found * signs, expected, atol=6e-3)  # float16
    _, record = load_checkpoint(tmp_path / "codec.safetensors")
    assert record["variance"] == pytest.approx(theirs.explained_variance_ratio_.sum())
    assert (record["key"], record["storage"], record["images"]) == (codec.key, "pca:3", 40)


def test_the_first_of_two_fits_stands(tmp_path: Path) -> None:
    first = fitted(Storage("int8"), some_features(), tmp_path)
    second = fitted(Storage("int8"), 2 * some_features(), tmp_path)
    assert second.key == first.key
    assert [path.name for path in tmp_path.iterdir()] == ["codec.safetensors"]


@pytest.mark.parametrize(
    ("storage", "folder", "item", "channels"),
    [
        ("float16", "depth04", 2, 96),
        ("float32", "depth04-float32", 4, 96),
        ("int8", "depth04-int8", 1, 96),
        ("pca:8", "depth04-pca8", 2, 8),
    ],
)
def test_features_come_back_from_every_storage(
    storage: str, folder: str, item: int, channels: int, trunk: Trunk, images: dict[str, Path], tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path, trunk, storage=storage)
    assert cache.fill(images, [4]) == 20
    assert cache.fill(images, [4]) == 0
    (array,) = (tmp_path / folder).glob("*.npy")
    shape = trunk.feature_shape(4)
    assert cache.row_bytes(4) * 20 == np.load(array).nbytes == 20 * item * channels * shape[1] * shape[2]
    opened = FeatureCache(tmp_path, trunk, storage=storage).open(images, 4)
    assert opened.trunk_shape == shape
    assert opened.shape == (channels, *shape[1:])
    pixels = torch.stack([trunk.preprocessing.apply(read_image(path)) for path in images.values()])
    expected = trunk(pixels, 4)
    found = opened.gather(torch.arange(20))
    if isinstance(opened.codec, Pca):
        found = torch.einsum("kc,nkhw->nchw", opened.codec.components, found) + opened.codec.mean[:, None, None]
        assert float((found - expected).square().mean()) < 0.2 * float(expected.var())
    else:
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=0.02 if storage == "int8" else 1e-3)


def test_a_codec_is_fitted_on_training_images_alone_in_any_order(
    trunk: Trunk, images: dict[str, Path], tmp_path: Path
) -> None:
    keys = list(images)
    caches = [FeatureCache(tmp_path / name, trunk, storage="pca:4") for name in "abc"]
    caches[0].fill(images, [4], fit_on=keys[:8])
    caches[1].fill(dict(reversed(images.items())), [4], fit_on=keys[7::-1])
    caches[2].fill(images, [4])
    keys_of_codecs = [codec.key for cache in caches if (codec := cache.codec(4))]
    assert len(keys_of_codecs) == 3
    assert keys_of_codecs[0] == keys_of_codecs[1] != keys_of_codecs[2]


def test_rows_of_another_codec_are_done_again(trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, trunk, storage="int8")
    cache.fill(images, [4], fit_on=list(images)[:3])
    cache.codec_file(4).unlink()
    with pytest.raises(TrunkError, match="20 of 20 images are not"):
        cache.open(images, 4)
    assert cache.fill(images, [4], fit_on=list(images)[3:]) == 20
    assert cache.fill(images, [4]) == 0


def test_what_cannot_be_stored_is_refused(trunk: Trunk, images: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(TrunkError, match="pca:K"):
        FeatureCache(tmp_path, trunk, storage="pca:0")
    with pytest.raises(TrunkError, match="have 96 channels at this depth; choose 96"):
        FeatureCache(tmp_path, trunk, storage="pca:97").fill(images, [4])
    cache = FeatureCache(tmp_path, trunk, storage="int8")
    cache.fill(images, [4])
    cache.codec_file(4).write_bytes(b"torn")
    with pytest.raises(TrunkError, match="codec"):
        cache.open(images, 4)


def test_a_reading_of_int8_is_the_same_in_memory_used_before() -> None:
    shard = np.arange(-6, 6, dtype=np.int8).reshape(3, 1, 2, 2)
    codec = Int8({"scale": torch.tensor([0.5, 2.0]), "zero": torch.tensor([1.0, -1.0])}, "key")
    cached = CachedFeatures((2, 1, 2), [shard], np.array([[0, 2], [0, 0], [0, 1]]), codec=codec)
    expected = shard[[2, 0, 1]].astype(np.float32) * [0.5, 2.0] + [1.0, -1.0]
    held = torch.full((3, 1, 2, 2), torch.nan)
    found = cached.gather_into(held, torch.arange(3))
    assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), expected)
    assert torch.equal(cached.gather(torch.arange(3)), found)
