"""Features with context: averages of earlier depths behind the map, which the head reads and nothing else does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from branches.branch import Branch
from branches.compression import MapOnly, alone, folded, on_trunk, tail_on
from branches.costs.architecture import branch_costs
from branches.costs.module import macs, parameters
from branches.errors import BranchError
from branches.export.folder import export_branch
from branches.probe import LinearProbe, linear_probe
from branches.saved import BranchRecord, load_branch, save_branch
from nas.supernet.supernet import Supernet
from search_spaces import Architecture, Space, SpaceError, macro_space, micro_space, space_from_json
from trunk.errors import TrunkError
from trunk.features.cached import drawn
from trunk.features.context import FeaturesWithContext, context_of, map_of, read, with_context
from trunk.features.source import ArrayFeatures, LabelledFeatures

CHANNELS, SOURCES = 5, (2, 4)
CONTEXT = sum(SOURCES)
SHAPE = (CHANNELS + CONTEXT, 3, 3)
SPACES = {
    "macro": macro_space(2, widths=(4,), shortcuts=(True,), sources=SOURCES),
    "micro": micro_space(2, cells=2, widths=(4,), shortcuts=(True,), sources=SOURCES),
}


def maps(count: int = 40, seed: int = 0) -> Tensor:
    return torch.randn(count, CHANNELS, 3, 3, generator=torch.Generator().manual_seed(seed))


def averages(count: int = 40, seed: int = 1) -> Tensor:
    return torch.randn(count, CONTEXT, generator=torch.Generator().manual_seed(seed))


def split(seed: int) -> LabelledFeatures:
    labels = torch.arange(40) % 2
    features = FeaturesWithContext(ArrayFeatures(maps(seed=seed)), averages(seed=seed + 1) + labels[:, None])
    return LabelledFeatures(features, labels, 2)


def branch(space: Space, seed: int = 0) -> Branch:
    architecture = space.random(np.random.default_rng(seed))
    made = Branch(architecture, SHAPE, 2, generator=torch.Generator().manual_seed(seed))
    made.train()(with_context(maps(), averages()))  # the norms have seen something
    return made.eval()


def test_what_is_gathered_is_the_map_and_the_averages_at_every_position() -> None:
    features = FeaturesWithContext(ArrayFeatures(maps()), averages())
    assert (features.shape, len(features), context_of(features)) == (SHAPE, 40, CONTEXT)
    got = features.gather(torch.tensor([7, 3]))
    assert torch.equal(got[:, :CHANNELS], maps()[[7, 3]])
    torch.testing.assert_close(got[:, CHANNELS:].mean((2, 3)), averages()[[7, 3]])
    part = split(0)
    assert (part.context, part.trunk_shape, part.map_shape) == (CONTEXT, SHAPE, (CHANNELS, 3, 3))
    assert map_of(features).shape == (CHANNELS, 3, 3)
    assert drawn(features, np.random.default_rng(0)) is features
    with pytest.raises(TrunkError, match="40 rows"):
        FeaturesWithContext(ArrayFeatures(maps()), averages(39))


def test_reading_the_trunk_gives_the_same() -> None:
    taken = {1: torch.randn(3, 2, 6, 6), 2: torch.randn(3, 4, 4, 4), 3: torch.randn(3, CHANNELS, 3, 3)}
    expected = with_context(taken[3], torch.cat([taken[1].mean((2, 3)), taken[2].mean((2, 3))], 1))
    assert torch.equal(read(taken, 3, (1, 2)), expected)
    assert read(taken, 3, ()) is taken[3]


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_only_the_head_reads_the_averages(space: Space) -> None:
    module, x = branch(space), with_context(maps(), averages())
    head = module.head
    weight = head.linear.weight.detach().clone()
    changed = with_context(maps(), averages(seed=9))
    assert not torch.allclose(module(x), module(changed))
    with torch.no_grad():
        head.linear.weight[:, -CONTEXT:] = 0
    torch.testing.assert_close(module(x), module(changed))
    assert head.linear.in_features == weight.shape[1]
    assert module.stem[0].in_channels == CHANNELS
    costs = branch_costs(module.architecture, SHAPE, 2)
    assert costs == (parameters(module), macs(module, SHAPE))


def test_a_space_without_sources_is_what_it_was_and_with_them_another() -> None:
    plain = macro_space(2, widths=(4,))
    assert "sources" not in plain.settings
    space = SPACES["macro"]
    assert space_from_json("macro", dict(space.settings)).settings == space.settings
    again = Architecture.from_json(space.random(np.random.default_rng(0)).to_json())
    assert dict(again.settings)["sources"] == SOURCES
    with pytest.raises(SpaceError, match="every source's channels"):
        macro_space(2, sources=(0,))
    with pytest.raises(BranchError, match="averages of earlier depths"):
        Branch(again, (CONTEXT, 3, 3), 2)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_path_of_the_shared_weights_is_its_branch(space: Space) -> None:
    probe = linear_probe(split(0), split(5))
    net = Supernet(space, SHAPE, 2, generator=torch.Generator().manual_seed(0), probe=probe.start)
    path, x = space.random(np.random.default_rng(0)), with_context(maps(), averages())
    assert torch.equal(net(x, path), net.extract(path)(x))
    torch.testing.assert_close(net(x, path), probe.module(x), rtol=1e-4, atol=1e-4)
    assert probe.module.linear.in_features == CHANNELS + CONTEXT


def test_a_codecs_projection_is_folded_into_what_reads_the_map_alone() -> None:
    module = branch(SPACES["macro"])
    turn = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(0)))[0]
    mean = torch.full((CHANNELS,), 0.5)
    features = torch.einsum("kc,nkhw->nchw", turn, maps()) + mean[:, None, None]
    found = folded(module, turn, mean)(with_context(features, averages()))
    torch.testing.assert_close(found, module(with_context(maps(), averages())), rtol=1e-3, atol=1e-3)


def test_a_tail_reads_the_map_and_stands_alone_when_it_is_saved() -> None:
    features = FeaturesWithContext(ArrayFeatures(maps()), averages())
    tail = LinearProbe(CHANNELS, 2)
    placed = tail_on(features, lambda generator: tail)(torch.Generator())
    assert isinstance(placed, MapOnly)
    assert torch.equal(placed(with_context(maps(), averages())), tail(maps()))
    assert alone(on_trunk(placed, features)) is tail


def test_it_is_exported_and_saved_like_any_other(tmp_path: Path) -> None:
    module = branch(SPACES["micro"])
    record = BranchRecord("hat", ("no", "yes"), SHAPE, 3, "f" * 64, architecture=module.architecture, sources=(1, 2))
    save_branch(tmp_path / "saved", module, record)
    loaded, again = load_branch(tmp_path / "saved")
    x = with_context(maps(), averages())
    assert again.sources == (1, 2)
    torch.testing.assert_close(loaded(x), module(x))
    folder = export_branch(tmp_path / "saved", tmp_path / "exported", golden=x[:8])  # checks ONNX and source
    assert f"self.stem(features[:, :{CHANNELS}])" in (folder / "branch.py").read_text()
    with pytest.raises(BranchError, match="must lie before it"):
        BranchRecord("hat", ("no", "yes"), SHAPE, 3, "f" * 64, architecture=module.architecture, sources=(3,))
