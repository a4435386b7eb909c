import pytest
import torch
from torchvision.models import inception_v3

from trunk.backbones.chain import BACKBONES
from trunk.backbones.find import block_shapes, find_backbone
from trunk.errors import TrunkError


def test_inception_blocks_have_the_published_shapes() -> None:
    # Szegedy et al. 2015, table 1, and torchvision's names for the same maps.
    expected = [(256, 35, 35), (288, 35, 35), (288, 35, 35), *[(768, 17, 17)] * 5, (1280, 8, 8), *[(2048, 8, 8)] * 2]
    assert list(block_shapes("inception_v3", 299)) == expected
    assert block_shapes("inception_v3", 96)[7] == (768, 4, 4)


def test_inception_chain_computes_what_torchvision_computes() -> None:
    model = inception_v3(weights=None, aux_logits=False, init_weights=False).eval()
    seen = {}
    for number, name in ((2, "Mixed_5d"), (7, "Mixed_6e"), (10, "Mixed_7c")):
        module = model.get_submodule(name)
        module.register_forward_hook(lambda _m, _i, out, number=number: seen.update({number: out}))
    chain = find_backbone("inception_v3").build()
    result = chain.load_state_dict(model.state_dict(), strict=False)
    assert result.missing_keys == []
    assert set(result.unexpected_keys) == {"fc.weight", "fc.bias"}
    chain.eval()
    features = torch.randn(2, 3, 80, 80, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model(features)
        for number in range(len(chain)):
            features = chain.run_block(number, features)
            if number in seen:
                torch.testing.assert_close(features, seen[number], rtol=0, atol=0)


def test_inception_weights_are_as_the_design_counts_them() -> None:
    chain = find_backbone("inception_v3").build()
    total = sum(weight.numel() for weight in chain.parameters())
    tail = sum(
        weight.numel()
        for name in ("Mixed_7a", "Mixed_7b", "Mixed_7c")
        for weight in chain.get_submodule(name).parameters()
    )
    assert (round(total / 1e6, 1), round(tail / 1e6, 1)) == (21.8, 12.8)


@pytest.mark.parametrize("name", BACKBONES)
def test_tables_agree_with_the_modules(name: str) -> None:
    backbone = BACKBONES[name]
    size = max(backbone.minimum_size, 32)
    chain = backbone.build().eval()
    assert len(backbone.block_names) == len(chain) == len(block_shapes(name, size))
    assert 1 <= backbone.freeze_depth < len(chain)
    features = torch.zeros(1, 3, size, size)
    with torch.no_grad():
        for number in range(len(chain)):
            features = chain.run_block(number, features)
            assert tuple(features.shape[1:]) == block_shapes(name, size)[number]


@pytest.mark.parametrize("name", BACKBONES)
def test_too_small_images_are_refused(name: str) -> None:
    smallest = BACKBONES[name].minimum_size
    assert block_shapes(name, smallest)[-1][1] >= 1
    with pytest.raises(TrunkError, match=f"use {smallest} or more"):
        block_shapes(name, smallest - 1)


def test_unknown_backbone_names_the_known_ones() -> None:
    with pytest.raises(TrunkError, match=r"did you mean .*inception_v3"):
        find_backbone("inception")
