from dataclasses import replace

import numpy as np
import pytest

from trunk.pretraining.batches import GREY, Changes, change, draw_changes, recoloured
from trunk.pretraining.settings import PretrainSettings

SETTINGS = PretrainSettings(flip=False, pad=0.0)


def pictures(count: int, size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def augmented(pixels: np.ndarray, settings: PretrainSettings, rng: np.random.Generator) -> np.ndarray:
    return change(pixels, draw_changes(len(pixels), pixels.shape[1:3], settings, rng), settings)


def test_augmentation_crops_and_flips_within_the_reflected_image() -> None:
    pixels = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    untouched = augmented(pixels, replace(SETTINGS, flip=False, pad=0.0), np.random.default_rng(0))
    assert np.array_equal(untouched, pixels)
    flipped = np.stack(
        [augmented(pixels, replace(SETTINGS, flip=True, pad=0.0), np.random.default_rng(n))[0] for n in range(20)]
    )
    is_flipped = [np.array_equal(one, pixels[0, :, ::-1]) for one in flipped]
    assert 0 < sum(is_flipped) < 20
    assert all(np.array_equal(one, pixels[0]) for one, turned in zip(flipped, is_flipped, strict=True) if not turned)
    cropped = augmented(pixels, replace(SETTINGS, flip=False, pad=0.25), np.random.default_rng(3))
    padded = np.pad(pixels, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    places = [(y, x) for y in range(5) for x in range(5) if np.array_equal(padded[0, y : y + 8, x : x + 8], cropped[0])]
    assert len(places) == 1


def test_a_part_of_a_batch_changes_as_in_the_whole() -> None:
    settings = PretrainSettings(jitter=0.4, erase=0.5)
    pixels = pictures(7)
    whole = augmented(pixels, settings, np.random.default_rng(1))
    changes = draw_changes(7, (8, 8), settings, np.random.default_rng(1))
    for rank in range(2):
        part = slice(rank, None, 2)
        assert np.array_equal(change(pixels[part], changes.of(part), settings), whole[part])


def test_a_square_is_greyed_out_and_may_hang_over_the_edge() -> None:
    settings = replace(SETTINGS, erase=0.5)
    pixels = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    changes = Changes(np.zeros(2, dtype=bool), None, None, np.array([[2, 3], [-2, 6]]))
    changed = change(pixels, changes, settings)
    expected = np.zeros_like(pixels)
    expected[0, 2:6, 3:7] = GREY
    expected[1, 0:2, 6:8] = GREY
    assert np.array_equal(changed, expected)
    assert not pixels.any()
    centres = np.concatenate(
        [draw_changes(20, (8, 8), settings, np.random.default_rng(n)).erased + 2 for n in range(20)]  # type: ignore[operator]
    )
    assert set(centres.ravel().tolist()) == set(range(8))


def test_colours_follow_the_factors() -> None:
    pixels = pictures(1)
    assert np.array_equal(recoloured(pixels, np.ones((1, 3))), pixels)
    dark = recoloured(pixels, np.array([[0.5, 1, 1]]))
    assert np.abs(dark.astype(float) - pixels / 2).max() <= 0.5
    flat = recoloured(pixels, np.array([[1, 0, 1]]))
    assert np.ptp(flat, axis=(1, 2)).max() == 0
    grey = recoloured(pixels, np.array([[1, 1, 0]]))
    assert np.ptp(grey, axis=3).max() == 0
    assert grey.std() > 10


@pytest.mark.parametrize("jitter", [0.1, 0.4])
def test_factors_lie_within_the_jitter(jitter: float) -> None:
    factors = draw_changes(200, (8, 8), replace(SETTINGS, jitter=jitter), np.random.default_rng(0)).factors
    assert factors is not None
    assert 1 - jitter <= factors.min() < 1 - 0.9 * jitter
    assert 1 + 0.9 * jitter < factors.max() <= 1 + jitter
    assert draw_changes(200, (8, 8), SETTINGS, np.random.default_rng(0)).factors is None
