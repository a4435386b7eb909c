"""Tiny pictures on disk and a small trunk: bright squares left or right, light or dark ground."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from subdatasets.attribute import Attribute
from subdatasets.subdataset import Example, SubDataset
from trunk.backbones.find import find_backbone
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

SIZE = 16


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, int, int]]:
    """(file, whether the square is on the right, whether the ground is dark) of 60 distinct pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    made = []
    for number in range(60):
        right, dark = number % 2, number // 2 % 2
        pixels = rng.integers(0, 40, (SIZE, SIZE, 3)) + (20 if dark else 150)
        pixels[4:12, 8 * right : 8 * right + 8] += 60
        path = folder / f"{number}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        made.append((path, right, dark))
    return made


@pytest.fixture(scope="session")
def subdatasets(pictures: list[tuple[Path, int, int]]) -> list[SubDataset]:
    """Two attributes over the same pictures; the last 20 are their val split."""
    found = []
    for name in ("right", "dark"):
        examples = tuple(
            Example(path, right if name == "right" else dark, "train" if number < 40 else "val")
            for number, (path, right, dark) in enumerate(pictures)
        )
        found.append(SubDataset(Attribute(name, ("no", "yes")), examples, Path(f"{name}.csv")))
    return found


def make_trunk(seed: int = 0) -> Trunk:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Trunk("small_cnn", find_backbone("small_cnn").build(), Preprocessing(SIZE))


@pytest.fixture
def trunk() -> Trunk:
    return make_trunk()
