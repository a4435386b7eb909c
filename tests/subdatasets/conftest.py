"""Tiny pictures on disk, each with its own content."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Paint = Callable[..., Path]


@pytest.fixture
def paint(tmp_path: Path) -> Paint:
    """`paint("a/b.png")` writes a small picture below tmp_path; another `seed` gives other pixels."""
    count = iter(range(10_000))

    def write(name: str, *, seed: int | None = None, size: int = 6) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(next(count) if seed is None else seed).integers(0, 255, (size, size, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def bald(tmp_path: Path, paint: Paint) -> Path:
    """A sound CSV of 12 pictures, yes and no in turn, without splits: line n names picture n."""
    lines = ["path,label"]
    for line in range(2, 14):
        paint(f"images/{line}.png")
        lines.append(f"images/{line}.png,{'yes' if line % 2 else 'no'}")
    path = tmp_path / "bald.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def edit() -> Callable[[Path, int, str], None]:
    """`edit(csv, 7, "text")` replaces line 7."""

    def replace(path: Path, line: int, text: str) -> None:
        lines = path.read_text(encoding="utf-8").split("\n")
        lines[line - 1] = text
        path.write_text("\n".join(lines), encoding="utf-8")

    return replace
