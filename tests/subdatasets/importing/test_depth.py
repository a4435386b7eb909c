"""Grey pictures of 10 and 12 bits in files of 16 are told at import, and by the check later; full ones are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from subdatasets.checks import check_subdataset
from subdatasets.importing.folder import import_folder


def fill(folder: Path, top: int, *, kind: str = "png", dtype: type = np.uint16, count: int = 20) -> None:
    random = np.random.default_rng(0)
    for number in range(count):
        pixels: np.ndarray[Any, Any] = random.integers(0, top + 1, (8, 8)).astype(dtype)
        pixels[0, 0] = top
        path = folder / ("no", "yes")[number % 2] / f"{number}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(("top", "levels"), [(1023, 4), (4095, 16), (4000, 16), (600, 3)])
@pytest.mark.parametrize(("kind", "dtype"), [("png", np.uint16), ("tif", np.uint16), ("tif", np.int32)])
def test_pictures_that_would_be_black_are_told(top: int, levels: int, kind: str, dtype: type, tmp_path: Path) -> None:
    fill(tmp_path / "scan", top, kind=kind, dtype=dtype)
    summary = import_folder(tmp_path / "scan", "scan", tmp_path / "data")
    (note,) = [each for each in summary.notes if "nearly black" in each]
    assert f"20 of 20 pictures are grey of 16 or 32 bits, and the brightest pixel is {top:,}" in note
    assert f"({levels} of 256 levels)" in note
    assert f"set white = {2 ** top.bit_length() - 1} below [data]" in note
    assert note in [each.message for each in check_subdataset(tmp_path / "data/scan.csv")]


def test_a_white_that_is_set_ends_the_warning(tmp_path: Path) -> None:
    fill(tmp_path / "scan", 1000)
    import_folder(tmp_path / "scan", "scan", tmp_path / "data")
    told = [each.message for each in check_subdataset(tmp_path / "data/scan.csv", white=1023)]
    assert not [each for each in told if "bits" in each]
    assert not [
        each for each in import_folder(tmp_path / "scan", "a", tmp_path / "data", white=1023).notes if "bits" in each
    ]
    notes = import_folder(tmp_path / "scan", "b", tmp_path / "data", white=255).notes
    assert any("the brightest pixel is 1,000, more than data.white" in each for each in notes)


def test_pictures_of_all_bits_and_of_eight_are_fine(tmp_path: Path) -> None:
    fill(tmp_path / "full", 65535)
    fill(tmp_path / "eight", 255, dtype=np.uint8)
    for name in ("full", "eight"):
        notes = import_folder(tmp_path / name, name, tmp_path / "data").notes
        assert not [each for each in notes if "bits" in each]


def test_files_of_32_bits_that_are_scaled_differently_are_told(tmp_path: Path) -> None:
    fill(tmp_path / "scan", 65535, kind="tif", dtype=np.int32)
    fill(tmp_path / "scan", 200, kind="tiff", dtype=np.int32)
    notes = import_folder(tmp_path / "scan", "scan", tmp_path / "data").notes
    assert any("some of them hold 8 bits and some more, which are scaled differently" in each for each in notes)


def test_values_below_zero_are_told(tmp_path: Path) -> None:
    for number in range(20):
        pixels = np.random.default_rng(number).integers(-1000, 2000, (8, 8)).astype(np.int32)
        path = tmp_path / "ct" / ("no", "yes")[number % 2] / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    for white in (0, 4095):
        notes = import_folder(tmp_path / "ct", f"ct{white}", tmp_path / "data", white=white).notes
        assert any("hold values below 0" in note and "read as black" in note for note in notes)
        told = [each.message for each in check_subdataset(tmp_path / f"data/ct{white}.csv", white=white)]
        assert any("hold values below 0" in each for each in told)
