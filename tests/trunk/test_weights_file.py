"""Weights files as trainings write them: wrapped, averaged, halved, of another network, damaged."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.trunk.conftest import SIZE, make_trunk
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk, load_trunk, trunk_from_weights
from trunk.weights_file import stated_input

PREFIXES = (
    "module.",
    "model.",
    "_orig_mod.",
    "backbone.",
    "encoder.",
    "net.",
    "model.backbone.",
    "module._orig_mod.student.backbone.",
    "somebody.elses.wrapper.",
)
EXTRAS = {"fc.weight": torch.zeros(7, 192), "AuxLogits.conv.weight": torch.zeros(2), "step": torch.tensor(3)}


def state_of(trunk: Trunk) -> dict[str, Tensor]:
    return dict(trunk.chain.state_dict())


def taken(weights: Any, backbone: str = "small_cnn", size: int = SIZE) -> Trunk:
    return trunk_from_weights(weights, backbone, Preprocessing(size), source="weights.pth")


def timm_state(name: str, **options: Any) -> dict[str, Tensor]:
    return dict(timm.create_model(name, pretrained=False, **options).state_dict())


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_is_taken_off_where_the_names_fit_without_it(prefix: str, trunk: Trunk) -> None:
    wrapped = {f"{prefix}{name}": value for name, value in state_of(trunk).items()}
    found = taken({"state_dict": {**wrapped, **EXTRAS, f"{prefix}fc.bias": torch.zeros(3)}})
    assert found.fingerprint == trunk.fingerprint
    told = prefix.replace("_orig_mod.", "")
    assert found.notes == ((f"names: without their prefix {told}",) if told else ())


def test_a_compiled_block_inside_is_found_too(trunk: Trunk) -> None:
    wrapped = {name.replace("block3.", "block3._orig_mod."): value for name, value in state_of(trunk).items()}
    assert taken(wrapped).fingerprint == trunk.fingerprint


def test_the_prefix_under_which_most_names_fit_wins(trunk: Trunk) -> None:
    state = state_of(trunk)
    few = {f"other.{name}": value + 1 for name, value in state.items() if name.startswith("block1")}
    assert taken({**few, **{f"net.{name}": value for name, value in state.items()}}).fingerprint == trunk.fingerprint
    misshapen = {f"student.{name}": value[..., None] for name, value in state.items()}
    both = {**misshapen, **{f"net.{name}": value for name, value in state.items()}}
    assert taken(both).fingerprint == trunk.fingerprint


def test_of_student_and_teacher_the_teacher_is_taken_and_it_is_said(trunk: Trunk) -> None:
    student = {f"student.{name}": value for name, value in state_of(make_trunk(1)).items()}
    teacher = {f"teacher.{name}": value for name, value in state_of(trunk).items()}
    found = taken({**student, **teacher})
    assert found.fingerprint == trunk.fingerprint
    assert found.notes == ("names: without their prefix teacher., not student.",)


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "ema"])
def test_the_running_average_comes_first_and_it_is_said(key: str, trunk: Trunk) -> None:
    averaged = {f"module.{name}": value for name, value in state_of(trunk).items()}
    found = taken({"state_dict": state_of(make_trunk(1)), "epoch": 3, key: averaged})
    assert found.fingerprint == trunk.fingerprint
    assert found.notes[0] == f"weights: their running average ({key}), rather than state_dict"
    assert taken({"state_dict": state_of(trunk), key: None}).fingerprint == trunk.fingerprint


def test_half_precision_is_widened_and_what_is_no_weight_refused(trunk: Trunk) -> None:
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        found = taken({name: value.to(kind) for name, value in state_of(trunk).items()}).chain.state_dict()
        assert found["block0.0.weight"].dtype == torch.float32
        assert torch.equal(found["block0.0.weight"], state_of(trunk)["block0.0.weight"].to(kind).float())
    for kind, name in ((torch.float8_e4m3fn, "float8_e4m3fn"), (torch.int8, "int8")):
        with pytest.raises(TrunkError, match=rf"'block0.0.weight' as {name}, which is not the weights themselves"):
            taken({**state_of(trunk), "block0.0.weight": state_of(trunk)["block0.0.weight"].to(kind)})
    with pytest.raises(TrunkError, match=r"no numbers \(first: block4.0.weight\)"):
        taken({**state_of(trunk), "block4.0.weight": torch.full((96 * 2, 96, 3, 3), 1e300, dtype=torch.float64)})


@pytest.mark.parametrize(
    "name", ["resnet18", "tf_efficientnet_lite0", "convnext_atto", "regnety_002", "vgg11", "tresnet_m"]
)
def test_a_classifier_of_any_size_is_left_out(name: str) -> None:
    state = timm_state(name, num_classes=7)
    found = taken({f"model.{key}": value for key, value in state.items()}, name, 64).chain.state_dict()
    assert all(torch.equal(found[key], state[key].float()) for key in found if "num_batches" not in key)


def test_a_missing_weight_is_named_with_the_closest_and_a_guess_at_the_network() -> None:
    with pytest.raises(
        TrunkError, match=r"first: conv_stem.weight.*they look like resnet18: .*trunk.backbone to 'resn"
    ):
        taken({f"module.{name}": value for name, value in timm_state("resnet18").items()}, "tf_efficientnet_lite0", 64)
    renamed = {name.replace("conv_stem", "features.0.0"): v for name, v in timm_state("tf_efficientnet_lite0").items()}
    with pytest.raises(TrunkError, match=r"1 weights are missing .*conv_stem.weight; did you mean features.0.0.weight"):
        taken(renamed, "tf_efficientnet_lite0", 64)
    with pytest.raises(TrunkError, match=r"give weights of this backbone or set trunk.backbone"):
        taken({"something.else": torch.zeros(3)})


def test_a_deeper_network_of_the_same_names_does_not_pass_for_a_shallow_one() -> None:
    with pytest.raises(TrunkError, match=r"no place for \d+ .*first: layer1.2.conv1.weight\); they look like resnet34"):
        taken(timm_state("resnet34"), "resnet18", 64)


def test_a_trunks_own_file_says_what_its_input_is(trunk: Trunk, tmp_path: Path) -> None:
    tall = Trunk("small_cnn", trunk.chain, Preprocessing((32, 16), (0.1, 0.2, 0.3), (0.5, 0.5, 0.5), fit="pad"))
    tall.save(tmp_path, {})
    assert stated_input(tmp_path / "weights.safetensors") == tall.preprocessing
    assert load_trunk(tmp_path / "weights.safetensors", "small_cnn", tall.preprocessing).fingerprint == tall.fingerprint
    for record in ("[" * 10**5, "3", '{"preprocessing": {"size": -1}}', '{"preprocessing": 4}'):
        save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors", metadata={"trunk": record})
        assert stated_input(tmp_path / "other.safetensors") is None
    assert stated_input(tmp_path / "trunk.json") is None
