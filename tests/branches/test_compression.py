"""A branch on principal components, folded: the same scores on the trunk's features, as module, ONNX and source."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from branches.branch import Branch
from branches.compression import Restored, folded, folded_probe, on_trunk
from branches.costs.module import parameters
from branches.errors import BranchError
from branches.export.folder import export_branch
from branches.grafting import GraftedNet
from branches.probe import LinearProbe
from branches.saved import BranchRecord, save_branch
from search_spaces import Space, macro_space, micro_space
from trunk.backbones.chain import build_small_cnn
from trunk.features.cached import CachedFeatures
from trunk.features.codecs import Moments, Pca
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

TOLERANCE = 1e-4  # relative, of scores: that of exported branches
SPACES = {"macro": macro_space(3, widths=(4, 8)), "micro": micro_space(2, widths=(4, 8))}
CHANNELS, COMPONENTS = 100, 12


def features() -> Tensor:
    """Correlated, after a relu, as a trunk's are: (16, C, 4, 3)."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(CHANNELS, 30, generator=generator)
    maps = torch.randn(16, 30, 4, 3, generator=generator)
    return (torch.einsum("ck,nkhw->nchw", mixing, maps) + 0.5).relu()


def codec_of(maps: Tensor, count: int) -> Pca:
    moments = Moments(maps.shape[1])
    moments.add(maps.permute(0, 2, 3, 1))
    tensors, _ = Pca.fit(moments, count)
    return Pca(tensors, "key")


def projected(codec: Pca, maps: Tensor) -> Tensor:
    """What is stored, but for its rounding to float16."""
    return torch.einsum("kc,nchw->nkhw", codec.components, maps - codec.mean[:, None, None])


def trained(space: Space, seed: int, inputs: Tensor) -> Branch:
    """A random branch whose norms have seen `inputs`."""
    channels, height, width = inputs.shape[1:]
    architecture = space.random(np.random.default_rng(seed))
    generator = torch.Generator().manual_seed(seed)
    branch = Branch(architecture, (channels, height, width), 2, generator=generator)
    with torch.no_grad():
        for _ in range(20):
            branch.train()(inputs)
    return branch.eval()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("seed", range(6))
def test_scores_are_the_same_on_the_trunks_features(space: str, seed: int) -> None:
    maps = features()
    codec = codec_of(maps, COMPONENTS)
    components = projected(codec, maps)
    branch = trained(SPACES[space], seed, components)
    found = folded(branch, codec.components, codec.mean)
    assert found.feature_shape == (CHANNELS, 4, 3)
    with torch.no_grad():
        expected, scores = branch(components).softmax(1), found(maps).softmax(1)
    assert float(expected[:, 0].std()) > 1e-3  # it tells images apart
    torch.testing.assert_close(scores, expected, rtol=TOLERANCE, atol=TOLERANCE * 1e-3)


def test_heads_with_and_without_the_trunks_averages_were_among_them() -> None:
    drawn = [SPACES["macro"].random(np.random.default_rng(seed)) for seed in range(6)]
    assert {Branch(one, (COMPONENTS, 4, 3), 2).head.shortcut_norm is None for one in drawn} == {True, False}


def test_a_folded_branch_is_grafted_and_exported_like_any_other(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = Trunk("small_cnn", build_small_cnn(), Preprocessing(16))
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    maps = trunk(images, 4)
    codec = codec_of(maps, COMPONENTS)
    branch = trained(SPACES["macro"], 1, projected(codec, maps))
    found = folded(branch, codec.components, codec.mean)
    shape = trunk.feature_shape(4)
    record = BranchRecord("bald", ("no", "yes"), shape, 4, trunk.fingerprint, 0.5, architecture=branch.architecture)
    save_branch(tmp_path / "saved", found, record)
    net = GraftedNet(trunk)
    net.graft_saved(tmp_path / "saved")
    with torch.no_grad():
        expected = branch(projected(codec, maps)).softmax(1)
        torch.testing.assert_close(net(images)["bald"], expected, rtol=TOLERANCE, atol=TOLERANCE * 1e-3)
    # Raises where branch.onnx or branch.py do not give the module's scores.
    export_branch(tmp_path / "saved", tmp_path / "exported", golden=maps)
    golden = np.load(tmp_path / "exported" / "golden.npz")["scores"]
    np.testing.assert_allclose(golden, expected.numpy(), rtol=TOLERANCE)


def test_the_probe_is_folded_too() -> None:
    maps = features()
    codec, probe = codec_of(maps, COMPONENTS), LinearProbe(COMPONENTS, 3)
    with torch.no_grad():
        expected = probe(projected(codec, maps))
        found = folded_probe(probe, codec.components, codec.mean)(maps)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_a_tail_reads_features_that_are_brought_back() -> None:
    maps = features()
    with torch.no_grad():
        for count, within in ((CHANNELS, 1e-9), (30, 0.3)):
            codec = codec_of(maps, count)
            restored = Restored(nn.Identity(), codec.components, codec.mean)(projected(codec, maps))
            assert float((restored - maps).square().mean()) < within * float(maps.var())
    tail = nn.Conv2d(CHANNELS, 2, 1)
    assert parameters(Restored(tail, codec.components, codec.mean)) == parameters(tail)


def test_what_is_deployed_reads_the_trunk() -> None:
    maps = features()
    codec = codec_of(maps, COMPONENTS)
    shard = codec.encode(maps.permute(0, 2, 3, 1))
    rows = np.array([[0, row] for row in range(len(maps))])
    compressed = CachedFeatures((COMPONENTS, 4, 3), [shard], rows, codec=codec)
    whole = CachedFeatures((COMPONENTS, 4, 3), [shard], rows)
    branch = trained(SPACES["macro"], 0, projected(codec, maps))
    assert on_trunk(branch, whole) is branch
    deployed = on_trunk(branch, compressed)
    assert isinstance(deployed, Branch)
    assert deployed.feature_shape == compressed.trunk_shape == (CHANNELS, 4, 3)
    tail = nn.Identity()
    assert on_trunk(Restored(tail, codec.components, codec.mean), compressed) is tail
    with pytest.raises(BranchError, match="reads 12 channels, the projection gives 5"):
        folded(branch, codec.components[:5], codec.mean)
