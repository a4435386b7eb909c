"""Near copies of a picture are found; other pictures, flat ones and files that are none are left alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from subdatasets.copies import DISTANCE, _near_pairs, near_copies


def scene(seed: int) -> Image.Image:
    """A picture of soft shapes with some grain, as photographs have."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize(
        (180, 180), Image.Resampling.BICUBIC
    )
    grain = random.normal(0, 4, (180, 180, 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("change", ["jpeg", "smaller", "brighter", "blurred", "grey"])
def test_copies_are_found_whatever_was_done_to_them(change: str, tmp_path: Path) -> None:
    paths = []
    for number in range(12):
        picture = scene(number)
        changed = {
            "jpeg": picture,
            "smaller": picture.resize((70, 70)),
            "brighter": ImageEnhance.Brightness(picture).enhance(1.15),
            "blurred": picture.filter(ImageFilter.GaussianBlur(2)),
            "grey": picture.convert("L"),
        }[change]
        picture.save(tmp_path / f"{number}.png")
        name = f"{number}-copy.{'jpg' if change == 'jpeg' else 'png'}"
        changed.save(tmp_path / name, quality=40)  # PNG takes no notice
        paths += [tmp_path / f"{number}.png", tmp_path / name]
    numbers = near_copies(paths)
    assert numbers.tolist() == [row // 2 for row in range(24)]


def test_flat_pictures_and_broken_files_are_alone(tmp_path: Path) -> None:
    for number, grey in enumerate((0, 128, 131)):
        Image.new("RGB", (40, 40), (grey,) * 3).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"none")
    assert near_copies([tmp_path / f"{number}.png" for number in range(4)]).tolist() == [0, 1, 2, 3]
    assert near_copies([]).tolist() == []


def test_pairs_are_those_of_a_full_comparison() -> None:
    random = np.random.default_rng(0)
    packed = random.integers(0, 256, (300, 16), dtype=np.uint8)
    for row in range(100):  # copies with 0 to 15 bits turned over
        bits = np.unpackbits(packed[row])
        bits[random.choice(128, row % 16, replace=False)] ^= 1
        packed[200 + row] = np.packbits(bits)
    apart = np.unpackbits(packed[:, None] ^ packed[None], axis=2).sum(axis=2)
    expected = {(one, other) for one, other in np.argwhere(apart <= DISTANCE).tolist() if one < other}
    assert {(min(pair), max(pair)) for pair in _near_pairs(packed) if pair[0] != pair[1]} == expected
