"""White of 16-bit pictures is one for all of a project: part of the trunk, and the same in training and deployment."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deployment.runtime.images import normalised, pixels_of, read_normalised
from deployment.serve.decoding import decode
from graftnet.project.folder import open_project
from graftnet.trunks.versions import open_trunk, train_trunk, use_trunk
from subdatasets.image_files import read_image
from tests.graftnet.searches.test_run import CONFIG, make_project
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

CPU = torch.device("cpu")


def ramp(path: Path, top: int, dtype: type) -> Path:
    pixels: np.ndarray[Any, Any] = np.linspace(0, top, 64).reshape(8, 8).astype(dtype)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("white", [None, 255, 1000, 1023, 4095, 65535, 10**6])
@pytest.mark.parametrize(
    ("kind", "dtype"), [("png", np.uint16), ("tif", np.uint16), ("tif", np.int32), ("png", np.uint8)]
)
def test_training_and_deployment_read_the_same_pixels(
    white: int | None, kind: str, dtype: type, tmp_path: Path
) -> None:
    path = ramp(tmp_path / f"x.{kind}", 200 if dtype is np.uint8 else 1023, dtype)
    trained = read_image(path, white=white)
    with Image.open(path) as opened:
        assert np.array_equal(np.asarray(pixels_of(opened, white)), np.asarray(trained))
    preprocessing = Preprocessing(8, white=white)
    expected = normalised(trained, preprocessing.to_json())
    assert np.array_equal(read_normalised(path, preprocessing.to_json()), expected)
    if kind == "png":
        served = decode(path.read_bytes(), max_pixels=100, white=white)
        assert np.array_equal(np.asarray(served), np.asarray(trained))
    if white is None or dtype is np.uint8:
        assert np.array_equal(np.asarray(trained), np.asarray(read_image(path)))


def test_levels_are_kept_where_white_is_right(tmp_path: Path) -> None:
    path = ramp(tmp_path / "x.png", 1023, np.uint16)
    assert len(np.unique(np.asarray(read_image(path)))) == 4
    assert len(np.unique(np.asarray(read_image(path, white=1023)))) == 64
    assert np.asarray(read_image(path, white=1023)).max() == 255
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 2), 5000, np.uint16)).save(buffer, "PNG")
    assert np.asarray(decode(buffer.getvalue(), max_pixels=9, white=1023)).tolist() == [[[255] * 3] * 2] * 2


def test_a_record_without_white_is_that_of_before() -> None:
    assert "white" not in Preprocessing(96).to_json()
    for white in (None, 1023):
        preprocessing = Preprocessing(96, white=white)
        assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing
    with pytest.raises(TrunkError, match="must be a whole number from 1"):
        Preprocessing(96, white=0)


def test_white_belongs_to_the_trunk(tmp_path: Path) -> None:
    project = make_project(tmp_path, 32)
    plain = open_trunk(project, CPU)
    (tmp_path / "graftnet.toml").write_text(f"[data]\nwhite = 1023\n{CONFIG}")
    project = open_project(tmp_path)
    with pytest.raises(TrunkError, match=r"takes what the file can hold for white, but data.white in .* is 1023"):
        open_trunk(project, CPU)
    train_trunk(project, seed=0, device=CPU)
    assert open_trunk(project, CPU).preprocessing.white == 1023
    other = tmp_path / "other"
    other.mkdir()
    (other / "graftnet.toml").write_text(f"[data]\nwhite = 4095\n{CONFIG}")
    taken = Trunk.load(use_trunk(open_project(other), str(tmp_path)))
    assert taken.preprocessing.white == 4095
    assert taken.fingerprint not in (plain.fingerprint, open_trunk(project, CPU).fingerprint)
