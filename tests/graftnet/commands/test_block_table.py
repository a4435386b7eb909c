"""graftnet trunk blocks: the table of a backbone, of the project or by name."""

import json
from pathlib import Path

import pytest

from graftnet.cli import run
from graftnet.commands.trunk import block_lines
from trunk.backbones.find import find_backbone
from trunk.backbones.table import block_table


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_backbone_by_name_has_its_own_size_and_depth(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trunk", "blocks", "--backbone", "resnet18", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["backbone"], table["image_size"], table["freeze_depth"]) == ("resnet18", 224, 7)
    first, last = table["blocks"][0], table["blocks"][-1]
    assert first == {
        "block": 0,
        "depth": 1,
        "name": "conv1",
        "channels": 64,
        "height": 56,
        "width": 56,
        "stride": 4,
        "parameters": 3 * 64 * 49 + 2 * 64,
    }
    assert (last["name"], last["channels"], last["stride"]) == ("layer4.1", 512, 32)
    whole = sum(weight.numel() for weight in find_backbone("resnet18").build().parameters())
    assert sum(row["parameters"] for row in table["blocks"]) == whole == 11_176_512


def test_without_a_name_it_is_the_project_s(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nowhere / "graftnet.toml").write_text('[trunk]\nbackbone = "small_cnn"\nimage_size = 16\nfreeze_depth = 2\n')
    assert run(["trunk", "blocks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "small_cnn, images of 16 pixels"
    assert lines[4] == "-- a trunk of freeze_depth 2 ends here --"
    assert lines[5].split() == ["2", "3", "block2", "64", "8x8", "2", "27,776"]


def test_inception_is_the_table_of_the_papers() -> None:
    lines = block_lines(block_table("inception_v3", 299))
    assert lines[10].startswith("-- a trunk of freeze_depth 8")
    assert lines[9].split()[:6] == ["7", "8", "Mixed_6e", "768", "17x17", "18"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--backbone", "vit_tiny_patch16_224"), "cannot be cut into blocks"),
        (("--backbone", "resnet19"), "did you mean resnet18"),
        (("--backbone", "small_cnn", "--size", "4"), "use 8 or more"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    options: tuple[str, ...], message: str, nowhere: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["trunk", "blocks", *options]) == 2
    said = capfd.readouterr().err
    assert message in said
    assert "Traceback" not in said
