"""timm's models cut at every depth against timm's own forward pass; those that cannot be cut are refused."""

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from trunk.backbones.find import block_shapes, find_backbone
from trunk.backbones.timm_models import grouped, sequence_of
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk, load_trunk

# Family -> (number of blocks, depth of the trunk by default, image size).
FAMILIES = {
    "resnet18": (9, 7, 32),
    "resnet50d": (17, 14, 32),
    "mobilenetv3_small_050": (13, 9, 32),
    "efficientnet_b0": (18, 12, 32),
    "regnety_002": (14, 7, 32),
    "densenet121": (8, 6, 32),
    "convnext_atto": (16, 13, 32),
    "tresnet_m": (22, 19, 32),
    "vgg11_bn": (8, 7, 32),
    "ghostnet_050": (18, 12, 32),
    "mnasnet_small": (17, 12, 32),
    "repvgg_a0": (22, 21, 32),
    "dla34": (5, 4, 32),
    "nf_regnet_b0": (18, 11, 32),
}
REFUSED = {
    "hrnet_w18_small": r"transition1\.1 does not read what transition1\.0 wrote",
    "vit_tiny_patch16_224": "pos_drop does not read what patch_embed wrote",
    "swin_tiny_patch4_window7_224": r"not \(channels, height, width\)",
    "mixer_s32_224": "stem does not write a map",
    "coat_tiny": "serial_blocks1.0 does not read what patch_embed1 wrote",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_cut_at_every_depth_and_run_on_it_gives_the_uncut_model_s_bits(name: str) -> None:
    blocks, depth, size = FAMILIES[name]
    backbone = find_backbone(name)
    assert (len(backbone.block_names), backbone.freeze_depth) == (blocks, depth)
    model: Any = timm.create_model(name, pretrained=False).eval()
    chain = backbone.build().eval()
    assert chain.load_state_dict(model.state_dict(), strict=False).missing_keys == []
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.forward_features(images.clone())
        kept, features = [], images.clone()
        for number in range(blocks):
            features = chain.run_block(number, features)
            kept.append(features.clone())
            assert tuple(features.shape[1:]) == block_shapes(name, size)[number]
        assert torch.equal(features, expected)
        for start in range(1, blocks):
            before = kept[start - 1].clone()
            features = before
            for number in range(start, blocks):
                features = chain.run_block(number, features)
            assert torch.equal(features, expected), f"cut after {start} blocks"
            assert torch.equal(before, kept[start - 1]), f"what a branch reads after {start} blocks was overwritten"


def test_in_training_too_the_chain_computes_what_the_model_computes() -> None:
    model: Any = timm.create_model("regnety_002", pretrained=False).train()
    chain = find_backbone("regnety_002").build().train()
    chain.load_state_dict(model.state_dict(), strict=False)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(chain(images), model.forward_features(images), rtol=0, atol=0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_chain_of_maps_is_refused_with_the_place(name: str) -> None:
    with pytest.raises(TrunkError, match=f"{name} cannot be cut into blocks: .*{REFUSED[name]}.*choose"):
        find_backbone(name)


def test_unknown_names_and_names_of_weights_say_what_to_do() -> None:
    with pytest.raises(TrunkError, match=r"no backbone 'resnt18', here or in timm; did you mean resnet18"):
        find_backbone("resnt18")
    with pytest.raises(TrunkError, match=r"set trunk.backbone to 'resnet18' and call 'graftnet trunk use timm:resnet"):
        find_backbone("resnet18.a1_in1k")
    with pytest.raises(TrunkError, match="choose inception_v3, small_cnn or a timm model's name"):
        find_backbone("qqqqqq")


def test_too_small_images_are_told_the_size_that_will_do() -> None:
    with pytest.raises(TrunkError, match="4 pixels are too small for vgg11_bn; use 32 or more"):
        block_shapes("vgg11_bn", 4)
    assert block_shapes("vgg11_bn", 32)[-1] == (512, 1, 1)


def test_a_trunk_of_timm_s_is_saved_loaded_and_continued_by_its_tail(tmp_path) -> None:
    trunk = Trunk("resnet18", find_backbone("resnet18").build(), Preprocessing(32))
    trunk.save(tmp_path, {})
    loaded = Trunk.load(tmp_path)
    assert loaded.fingerprint == trunk.fingerprint
    assert load_trunk(tmp_path / "weights.safetensors", "resnet18", Preprocessing(32)).fingerprint == trunk.fingerprint
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    tail = loaded.tail(7, 2).eval()
    with torch.no_grad():
        torch.testing.assert_close(tail.blocks(trunk(images, 7)), trunk(images, 9), rtol=0, atol=0)


class InPlace(nn.Module):
    """Two convolutions; the first block writes into what it was given."""

    def __init__(self, glue: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))
        self.relu = nn.ReLU(inplace=True)
        self.second = Overwriting()
        self.glue = glue

    def forward_features(self, images: Tensor) -> Tensor:
        features = self.relu(self.first(images))
        if self.glue:
            features.mul_(2)  # the same tensor, with other numbers in it
        result: Tensor = self.second(features)
        return result


class Overwriting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)])

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.convolutions[1](self.convolutions[0](features.add_(1))) + features
        return result


def test_a_block_that_overwrites_its_input_is_no_place_to_cut() -> None:
    model = InPlace(glue=False)
    calls = sequence_of(model, model.forward_features, torch.zeros(1, 3, 2, 2))
    assert [call.name for call in calls] == ["first.0", "first.1", "relu", "second"]
    assert [call.in_place for call in calls] == [False, False, True, True]
    assert [[call.name for call in block] for block in grouped(calls)] == [["first.0", "first.1", "relu", "second"]]


def test_numbers_changed_between_two_modules_are_noticed() -> None:
    model = InPlace(glue=True)
    with pytest.raises(TrunkError, match="second does not read what relu wrote"):
        sequence_of(model, model.forward_features, torch.zeros(1, 3, 2, 2))
