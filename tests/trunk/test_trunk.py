import json
import os
from pathlib import Path

import pytest
import torch

from tests.trunk.conftest import SIZE, make_trunk
from trunk.backbones.find import find_backbone
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk, fingerprint, load_trunk, trunk_state


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def test_capture_is_one_pass_whose_parts_agree(trunk: Trunk, images: torch.Tensor) -> None:
    captured = trunk.capture(images, [2, 4, 6])
    assert sorted(captured) == [2, 4, 6]
    for depth, features in captured.items():
        assert tuple(features.shape[1:]) == trunk.feature_shape(depth)
        torch.testing.assert_close(features, trunk(images, depth), rtol=0, atol=0)
    features = captured[2]
    for number in (2, 3):
        features = trunk.chain.run_block(number, features)
    torch.testing.assert_close(features, captured[4], rtol=0, atol=0)


def test_a_trunk_stays_frozen(trunk: Trunk, images: torch.Tensor) -> None:
    before = fingerprint(trunk.backbone, trunk.chain, trunk.preprocessing)
    holder = torch.nn.ModuleDict({"trunk": trunk}).train()
    assert not any(module.training for module in trunk.modules())
    assert not any(weight.requires_grad for weight in holder.parameters())
    trunk(images, 6)
    assert fingerprint(trunk.backbone, trunk.chain, trunk.preprocessing) == before == trunk.fingerprint


def test_fingerprint_depends_on_every_part(trunk: Trunk) -> None:
    assert make_trunk().fingerprint == trunk.fingerprint
    assert make_trunk(seed=1).fingerprint != trunk.fingerprint
    for other in (
        Preprocessing(SIZE + 1),
        Preprocessing(SIZE, mean=(0.5, 0.5, 0.5)),
        Preprocessing(SIZE, interpolation="bicubic"),
    ):
        assert fingerprint("small_cnn", trunk.chain, other) != trunk.fingerprint
    assert fingerprint("other", trunk.chain, trunk.preprocessing) != trunk.fingerprint
    trunk_state(trunk.chain)["block5.1.running_var"][3] += 1e-6
    assert fingerprint("small_cnn", trunk.chain, trunk.preprocessing) != trunk.fingerprint


def test_save_and_load_keep_the_fingerprint(trunk: Trunk, images: torch.Tensor, tmp_path: Path) -> None:
    trunk.save(tmp_path, {"source": "test"})
    loaded = Trunk.load(tmp_path)
    assert loaded.fingerprint == trunk.fingerprint
    torch.testing.assert_close(loaded(images, 6), trunk(images, 6), rtol=0, atol=0)
    names = {name.rsplit(".", 1)[1] for name in trunk_state(loaded.chain)}
    assert names == {"weight", "bias", "running_mean", "running_var"}


def test_changed_weights_are_refused_with_both_fingerprints(trunk: Trunk, tmp_path: Path) -> None:
    trunk.save(tmp_path, {})
    other = make_trunk(seed=1)
    other.save(tmp_path / "other", {})
    (tmp_path / "weights.safetensors").write_bytes((tmp_path / "other" / "weights.safetensors").read_bytes())
    with pytest.raises(TrunkError, match=f"{other.fingerprint[:12]}.*{trunk.fingerprint[:12]}"):
        Trunk.load(tmp_path)


def test_a_half_written_trunk_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrunkError, match="no whole trunk"):
        Trunk.load(tmp_path)
    (tmp_path / "trunk.json").write_text(json.dumps({"backbone": "small_cnn"}))
    with pytest.raises(TrunkError, match="no whole trunk"):
        Trunk.load(tmp_path)


def test_weights_from_a_state_dict_file(trunk: Trunk, tmp_path: Path) -> None:
    state = {f"module.{name}": value for name, value in trunk.chain.state_dict().items()}
    torch.save({"state_dict": {**state, "fc.weight": torch.zeros(2)}}, tmp_path / "weights.pth")
    loaded = load_trunk(tmp_path / "weights.pth", "small_cnn", Preprocessing(SIZE))
    assert loaded.fingerprint == trunk.fingerprint


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("a pickle was executed",))


def test_a_pickled_object_is_never_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": Trap()}, path)
    with pytest.raises(TrunkError, match="no file of plain tensors"):
        load_trunk(path, "small_cnn", Preprocessing(SIZE))
    torch.save({"a": Trap()}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(TrunkError):
        load_trunk(path, "small_cnn", Preprocessing(SIZE))
    assert capsys.readouterr().out == ""


def test_weights_that_do_not_fit_are_named(trunk: Trunk, tmp_path: Path) -> None:
    state = trunk_state(trunk.chain)
    torch.save({name: value for name, value in state.items() if not name.startswith("block3")}, tmp_path / "few.pth")
    with pytest.raises(TrunkError, match=r"5 weights are missing.*block3"):
        load_trunk(tmp_path / "few.pth", "small_cnn", Preprocessing(SIZE))
    torch.save({**state, "block0.0.weight": torch.zeros(1)}, tmp_path / "shape.pth")
    with pytest.raises(TrunkError, match=r"1 have another shape.*block0"):
        load_trunk(tmp_path / "shape.pth", "small_cnn", Preprocessing(SIZE))
    (tmp_path / "noise.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(TrunkError, match="cannot be read as weights"):
        load_trunk(tmp_path / "noise.safetensors", "small_cnn", Preprocessing(SIZE))
    with pytest.raises(TrunkError, match="no weights file"):
        load_trunk(tmp_path / "absent.pth", "small_cnn", Preprocessing(SIZE))


def test_the_tail_continues_the_trunk(trunk: Trunk, images: torch.Tensor) -> None:
    tail = trunk.tail(4, 3, generator=torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        whole = trunk(images, 6).mean(dim=(2, 3))
        torch.testing.assert_close(tail(trunk(images, 4)), tail.linear(whole), rtol=0, atol=0)
    assert all(weight.requires_grad for weight in tail.parameters())
    with torch.no_grad():
        for weight in tail.parameters():
            weight.add_(1.0)
    assert fingerprint(trunk.backbone, trunk.chain, trunk.preprocessing) == trunk.fingerprint


def test_depths_out_of_range_are_refused(trunk: Trunk, images: torch.Tensor) -> None:
    assert list(trunk.depths) == [1, 2, 3, 4, 5, 6]
    for depth in (0, 7):
        with pytest.raises(TrunkError, match="between 1 and 6"):
            trunk.capture(images, [depth])
    with pytest.raises(TrunkError, match="leaves no tail"):
        trunk.tail(6, 2)


def test_preprocessing_matches_torchvision() -> None:
    from PIL import Image
    from torchvision.transforms import v2

    rng = torch.Generator().manual_seed(0)
    image = Image.fromarray(torch.randint(0, 256, (20, 30, 3), generator=rng, dtype=torch.uint8).numpy())
    preprocessing = Preprocessing(24)
    reference = v2.Compose(
        [
            v2.Resize((24, 24), interpolation=v2.InterpolationMode.BILINEAR),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(preprocessing.mean, preprocessing.std),
        ]
    )
    torch.testing.assert_close(preprocessing.apply(image), reference(image), rtol=1e-5, atol=1e-5)
    assert Preprocessing.from_json(json.loads(json.dumps(preprocessing.to_json()))) == preprocessing


def test_every_weight_of_the_chain_is_in_the_trunk() -> None:
    chain = find_backbone("small_cnn").build()
    assert {name for name, _ in chain.named_parameters()} <= set(trunk_state(chain))


def odd_weights(trunk: Trunk) -> dict[str, object]:
    state = trunk_state(trunk.chain)
    name = next(name for name, value in state.items() if value.ndim > 1)
    return {
        "integer keys": dict(enumerate(state.values())),
        "sparse": {**state, name: state[name].to_sparse()},
        "not finite": {**state, name: torch.full_like(state[name], float("nan"))},
        "complex": {**state, name: state[name].to(torch.complex64)},
        "numbers": dict.fromkeys(state, 1.0),
        "a list": list(state.values()),
        "a tensor": state[name],
        "nested": {"state_dict": {"state_dict": state}},
        "nothing": {},
    }


ODD = ("integer keys", "sparse", "not finite", "complex", "numbers", "a list", "a tensor", "nested", "nothing")


@pytest.mark.parametrize("odd", ODD)
def test_tensors_that_are_no_weights_are_refused(odd: str, trunk: Trunk, tmp_path: Path) -> None:
    torch.save(odd_weights(trunk)[odd], tmp_path / "weights.pth")
    with pytest.raises(TrunkError, match=r"weights\.pth") as caught:
        load_trunk(tmp_path / "weights.pth", trunk.backbone, trunk.preprocessing)
    assert "\n" not in str(caught.value)


class Runs:
    """What a pickle calls when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def test_a_pickle_that_runs_something_is_not_loaded(
    trunk: Trunk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({**trunk_state(trunk.chain), "more": Runs()}, "weights.pth")
    with pytest.raises(TrunkError, match="pickled objects"):
        load_trunk(tmp_path / "weights.pth", trunk.backbone, trunk.preprocessing)
    assert not (tmp_path / "ran").exists()
