"""Published weights without a download: the libraries' own loaders are handed random weights."""

from typing import Any

import pytest
import timm
import torch
from torchvision.models import Inception_V3_Weights, inception_v3

from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.pretrained import imagenet_trunk, timm_trunk


def test_imagenet_weights_see_what_torchvisions_model_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    model = inception_v3(weights=None, init_weights=False, transform_input=True).eval()
    monkeypatch.setattr(Inception_V3_Weights, "get_state_dict", lambda *_a, **_k: model.state_dict())
    seen: dict[str, torch.Tensor] = {}
    model.Mixed_6e.register_forward_hook(lambda _m, _i, out: seen.update(features=out))
    trunk = imagenet_trunk(80)
    pixels = torch.randint(0, 256, (2, 80, 80, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.no_grad():
        model(Preprocessing(80).normalise(pixels))
        found = trunk(trunk.preprocessing.normalise(pixels), 8)
    torch.testing.assert_close(found, seen["features"], rtol=1e-3, atol=1e-4)


def test_timm_weights_load_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def create(name: str, pretrained: bool) -> Any:
        asked.append((name, pretrained))
        return timm.create_model(name, pretrained=False)

    monkeypatch.setattr("trunk.pretrained.create_model", create)
    trunk = timm_trunk("inception_v3.tf_in1k", 96)
    assert asked == [("inception_v3.tf_in1k", True)]
    assert trunk.preprocessing.mean == (0.5, 0.5, 0.5)


def test_weights_of_another_family_load_with_its_own_normalisation(monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[Any] = []

    def create(name: str, pretrained: bool) -> Any:
        assert (name, pretrained) == ("resnet18.a1_in1k", True)
        models.append(timm.create_model("resnet18", pretrained=False).eval())
        return models[-1]

    monkeypatch.setattr("trunk.pretrained.create_model", create)
    trunk = timm_trunk("resnet18.a1_in1k", 64)
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(trunk(images, 9), models[0].forward_features(images), rtol=1e-4, atol=1e-5)
    assert (trunk.backbone, trunk.preprocessing.interpolation) == ("resnet18", "bicubic")


def test_weights_that_timm_does_not_have_are_refused_with_those_it_has() -> None:
    with pytest.raises(TrunkError, match=r"no weights 'resnet18.mine'; of resnet18 it offers: .*resnet18.a1_in1k"):
        timm_trunk("resnet18.mine", 64)
    with pytest.raises(TrunkError, match="vit_tiny_patch16_224 cannot be cut"):
        timm_trunk("vit_tiny_patch16_224.augreg_in21k", 224)


def test_no_connection_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(Inception_V3_Weights, "get_state_dict", refuse)
    with pytest.raises(TrunkError, match=r"could not be downloaded .*'graftnet trunk use FILE'"):
        imagenet_trunk(96)
    monkeypatch.setattr("trunk.pretrained.create_model", refuse)
    with pytest.raises(TrunkError, match="could not be downloaded"):
        timm_trunk("inception_v3.tf_in1k", 96)
