"""Grey of 10 bits in files of 16: what white is goes for pictures on pages, for crops and for near copies too."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graftnet.cli import run
from nas.job.pictures import small_picture, thumbnail
from nas.job.predictions import ImageFile
from subdatasets.copies import near_copies

TOP = 1023


def scan(path: Path, seed: int, side: int = 40, scale: float = 1.0) -> Path:
    """A smooth picture, so that a copy of another size is near."""
    coarse = np.random.default_rng(seed).random((5, 5)) * TOP * scale
    pixels = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, TOP).astype(np.uint16)).save(path)
    return path


def brightest(url: str) -> int:
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        return int(np.asarray(picture).max())


def test_pictures_on_pages(tmp_path: Path) -> None:
    path = scan(tmp_path / "a.png", 0)
    assert brightest(small_picture(path, 40, quality=80)) < 8
    assert brightest(small_picture(path, 40, quality=80, white=TOP)) > 200
    shown = thumbnail(ImageFile(path, "a", "0" * 64, TOP), [])
    assert shown is not None
    assert brightest(shown) > 200


def test_near_copies_are_found_in_deep_grey(tmp_path: Path) -> None:
    paths = [
        scan(tmp_path / "a.png", 0),
        scan(tmp_path / "small.png", 0, side=24),
        scan(tmp_path / "dark.png", 0, scale=0.9),
        scan(tmp_path / "other.png", 5),
    ]
    assert near_copies(paths).tolist() == [0, 1, 2, 3]
    assert near_copies(paths, white=TOP).tolist() == [0, 0, 0, 1]


def test_crops_of_persons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan(tmp_path / "photos/a.png", 0)
    mask = np.zeros((40, 40), np.uint8)
    mask[4:36, 4:36] = 1
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks/a.png")
    home = tmp_path / "home"
    assert run(["init", str(home)]) == 0
    call = ["data", "persons", str(tmp_path / "photos"), "--masks", str(tmp_path / "masks"), "--project", str(home)]
    crops = []
    for white in (0, TOP):
        (home / "graftnet.toml").write_text(f"[data]\nwhite = {white}\n")
        capsys.readouterr()
        assert run([*call, "--smallest", "8", "--json"]) == 0
        record = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert record["computed"] == 1  # another white is another crop
        assert bool(record["notes"]) is not bool(white)
        rows = Path(record["table"]).read_text().splitlines()
        with Image.open(Path(record["table"]).parent / rows[1].split(",")[0]) as crop:
            crops.append(int(np.asarray(crop).max()))
    assert crops[0] < 126
    assert crops[1] > 200
