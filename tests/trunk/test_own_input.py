"""The input that weights were trained with, whichever way they come."""

import json
from pathlib import Path

import pytest
import torch

from trunk.own_input import file_input, timm_input, torchvision_input
from trunk.preprocessing import IMAGENET_MEAN, Preprocessing
from trunk.trunk import Trunk

HALF = (0.5, 0.5, 0.5)


def test_timms_configuration_of_the_weights_is_taken() -> None:
    own, origin = timm_input("tf_efficientnet_lite1", 96)
    assert own == Preprocessing(96, HALF, HALF, "bicubic", crop=0.882)
    assert origin == "timm's configuration of tf_efficientnet_lite1"
    assert timm_input("inception_v3.gluon_in1k", 96).preprocessing.mean == IMAGENET_MEAN


def test_a_way_to_resize_that_we_do_not_have_becomes_the_nearest_and_it_is_said() -> None:
    own, origin = timm_input("made_up", 96, {"mean": HALF, "std": HALF, "interpolation": "lanczos"})
    assert own.interpolation == "bicubic"
    assert origin.endswith("(it resizes by lanczos; bicubic is the nearest here)")
    assert timm_input("made_up", 96, {"interpolation": "nearest"}).preprocessing.interpolation == "bilinear"


def test_a_file_gets_the_input_of_its_backbones_library() -> None:
    own, origin = file_input(Path("mine.pth"), {}, "tf_efficientnet_lite0", (64, 32))
    assert own == Preprocessing((64, 32), HALF, HALF, "bicubic", crop=0.875)
    assert origin == "timm's configuration of tf_efficientnet_lite0, by trunk.backbone"


def test_a_file_whose_name_names_its_weights_gets_theirs() -> None:
    folder = Path("models--timm--convnext_tiny.fb_in22k_ft_in1k_384/snapshots/0a1b")
    own, origin = file_input(folder / "model.safetensors", {}, "convnext_tiny", 96)
    assert (own.crop, origin) == (1.0, "timm's configuration of convnext_tiny.fb_in22k_ft_in1k_384")


def test_a_config_json_beside_the_file_comes_before_the_library(tmp_path: Path) -> None:
    stated = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear", "crop_pct": 0.9}
    beside = tmp_path / "config.json"

    def taken(backbone: str = "resnet18") -> tuple[Preprocessing, str]:
        return file_input(tmp_path / "model.safetensors", {}, backbone, 96)

    usual = taken()
    beside.write_text(json.dumps({"architecture": "resnet18", "num_classes": 3, "pretrained_cfg": stated}))
    own, origin = taken()
    assert own == Preprocessing(96, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), crop=0.9)
    assert origin == "the config.json beside the file"
    assert taken("resnet34")[0].mean == IMAGENET_MEAN  # another model's
    for wrong in ({**stated, "mean": ["a", 0, 0]}, {**stated, "std": [0, 1, 1]}, {**stated, "crop_pct": 7}, [stated]):
        beside.write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": wrong}))
        assert taken() == usual
    beside.write_text("{")
    assert taken() == usual


@pytest.mark.parametrize(("rows", "mean"), [(1000, HALF), (7, IMAGENET_MEAN)])
def test_torchvisions_inception_is_known_by_its_classifier(rows: int, mean: tuple[float, ...]) -> None:
    own, origin = file_input(Path("a.pth"), {"module.fc.weight": torch.zeros(rows, 2048)}, "inception_v3", 96)
    assert own.mean == mean
    assert ("1000 classes" in origin) is (rows == 1000)
    assert torchvision_input(96).preprocessing.std == HALF


def test_a_trunks_own_file_keeps_its_input(trunk: Trunk, tmp_path: Path) -> None:
    Trunk("small_cnn", trunk.chain, Preprocessing(32, (0.1, 0.2, 0.3), HALF, "bicubic")).save(tmp_path, {})
    own, origin = file_input(tmp_path / "weights.safetensors", {}, "small_cnn", 64)
    assert (own, origin) == (Preprocessing(64, (0.1, 0.2, 0.3), HALF, "bicubic"), "the file itself")
