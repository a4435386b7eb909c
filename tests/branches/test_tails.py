"""The backbone's own blocks as a branch: what they compute and cost, how they are saved, grafted and exported."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from branches.costs.module import macs, parameters
from branches.errors import BranchError
from branches.export.folder import export_branch
from branches.export.source import CONSTRUCTORS
from branches.export.traced import tail_source
from branches.grafting import GraftedNet
from branches.layers import ProjectedPool, bilinear_pool
from branches.saved import BranchRecord, load_branch, save_branch
from branches.tails import tail_branch
from search_spaces import Architecture, SpaceError, tail_plan, tail_space
from trunk.backbones.chain import BACKBONES, Backbone, BlockChain
from trunk.backbones.find import find_backbone
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.trunk import Tail, Trunk

VALUES = ("no", "yes")


def trunk_of(backbone: str, size: int) -> Trunk:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Trunk(backbone, find_backbone(backbone).build(), Preprocessing(size))


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return trunk_of("small_cnn", 16)


def architecture(depth: int, blocks: int, pooling: str, backbone: str = "small_cnn", width: int = 6) -> Architecture:
    space = tail_space(depth, backbone=backbone, blocks=(blocks,), poolings=(pooling,), widths=(width,))
    return space.architecture((0, 0, 0))


def made(trunk: Trunk, depth: int, blocks: int, pooling: str) -> tuple[Tail, BranchRecord]:
    """A tail whose norms have seen data, and its record."""
    chosen = architecture(depth, blocks, pooling, trunk.backbone)
    tail = tail_branch(trunk, chosen, 2, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    for part in tail.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            part.running_mean += 0.1 * torch.randn(part.num_features, generator=generator)
    shape = trunk.feature_shape(depth)
    about: dict[str, Any] = {"threshold": 0.5, "kind": "tail", "architecture": chosen, "backbone": trunk.backbone}
    return tail.eval(), BranchRecord("bald", VALUES, shape, depth, trunk.fingerprint, **about)


def features(trunk: Trunk, depth: int, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(count, *trunk.feature_shape(depth), generator=generator).relu()


@pytest.mark.parametrize("pooling", ["average", "bilinear"])
@pytest.mark.parametrize("blocks", [5, 6])
def test_it_starts_as_the_trunk_s_blocks_then_pools(trunk: Trunk, blocks: int, pooling: str) -> None:
    tail = tail_branch(trunk, architecture(3, blocks, pooling), 2).eval()
    maps = x = features(trunk, 3)
    with torch.no_grad():
        for number in range(3, blocks):
            maps = trunk.chain.run_block(number, maps)
        if pooling == "average":
            pooled = maps.mean((2, 3))
        else:
            assert isinstance(tail.pool, ProjectedPool)
            pooled = bilinear_pool(tail.pool.get_submodule("projection")(maps))
            assert pooled.shape == (3, 36)
        torch.testing.assert_close(tail(x), tail.linear(pooled), rtol=1e-5, atol=1e-6)
    assert all(weight.requires_grad for weight in tail.parameters())


def test_what_is_new_is_drawn_from_the_generator_alone(trunk: Trunk) -> None:
    torch.manual_seed(1)
    chosen = architecture(4, 5, "bilinear")
    same = [tail_branch(trunk, chosen, 2, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    states = [tail.state_dict() for tail in same]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    drawn = ("pool.projection.convolution.weight", "linear.weight")
    assert {name for name in states[0] if not torch.equal(states[0][name], states[2][name])} == set(drawn)
    assert torch.initial_seed() == 1


@pytest.mark.parametrize(("blocks", "pooling"), [(5, "average"), (5, "bilinear"), (6, "bilinear")])
def test_parameters_and_macs_agree_with_the_profiler_and_by_hand(trunk: Trunk, blocks: int, pooling: str) -> None:
    tail, _ = made(trunk, 4, blocks, pooling)
    positions = 4 * 4
    convolutions = {5: 96 * 192 * 9, 6: 96 * 192 * 9 + 192 * 192 * 9}[blocks]
    head = {"average": 192 * 2, "bilinear": positions * (192 * 6 + 6 * 6) + 36 * 2}[pooling]
    x = torch.zeros(1, *trunk.feature_shape(4))
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as profiled, torch.inference_mode():
        tail(x)
    counted = ("aten::conv2d", "aten::addmm", "aten::mm", "aten::bmm")
    by_profiler = sum(event.flops for event in profiled.key_averages() if event.key in counted) / 2
    assert macs(tail, trunk.feature_shape(4)) == convolutions * positions + head == by_profiler
    norms = 2 * 192 * (blocks - 4)
    weights = {"average": 192 * 2 + 2, "bilinear": 192 * 6 + 2 * 6 + 36 * 2 + 2}[pooling]
    assert parameters(tail) == convolutions + norms + weights


@pytest.mark.parametrize("pooling", ["average", "bilinear"])
def test_saved_and_loaded_it_scores_the_same_and_leaves_others_as_they_were(
    trunk: Trunk, pooling: str, tmp_path: Path
) -> None:
    tail, record = made(trunk, 3, 5, pooling)
    save_branch(tmp_path / "bald", tail, record)
    loaded, found = load_branch(tmp_path / "bald")
    assert found == record
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    other = trunk.tail(5, 2, generator=torch.Generator().manual_seed(4)).eval()
    net = GraftedNet(trunk)
    net.graft("hat", VALUES, other, freeze_depth=5, fingerprint=trunk.fingerprint)
    with torch.no_grad():
        before = net(images)["hat"]
        net.graft_saved(tmp_path / "bald")
        scores = net(images)
        assert torch.equal(scores["hat"], before)
        assert torch.equal(scores["bald"], tail(trunk(images, 3)).softmax(1))
        assert torch.equal(loaded(trunk(images, 3)), tail(trunk(images, 3)))


@pytest.mark.parametrize("pooling", ["average", "bilinear"])
def test_it_is_exported_as_source_that_needs_torch_alone_and_as_onnx(
    trunk: Trunk, pooling: str, tmp_path: Path
) -> None:
    tail, record = made(trunk, 4, 6, pooling)
    folder = export_branch((tail, record), tmp_path / "bald")  # compares the source and the ONNX file with the module
    contract = json.loads((folder / "branch.json").read_text())
    assert (contract["source"], contract["without_source"]) == ("branch.py", None)
    assert contract["architecture"]["space"] == "tail"
    assert contract["parameters"] == parameters(tail)
    text = (folder / "branch.py").read_text()
    imported = {line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert imported == {"pathlib", "torch", "safetensors"}
    assert max(len(line) for line in text.splitlines()) <= 120
    session = onnxruntime.InferenceSession(str(folder / "branch.onnx"), providers=["CPUExecutionProvider"])
    x = features(trunk, 4)
    with torch.no_grad():
        found = session.run(None, {"features": x.numpy()})[0]
        np.testing.assert_allclose(found, tail(x).softmax(1).numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("backbone", "size", "depth", "blocks"), [("inception_v3", 75, 5, 9), ("resnet18", 32, 1, 5)])
def test_blocks_with_branches_and_sums_are_written_as_source(
    backbone: str, size: int, depth: int, blocks: int, tmp_path: Path
) -> None:
    trunk = trunk_of(backbone, size)
    tail, record = made(trunk, depth, blocks, "bilinear")
    text, weights = tail_source(tail, record)
    names: dict[str, object] = {"__file__": str(tmp_path / "branch.py"), "__name__": "exported"}
    exec(compile(text, "branch.py", "exec"), names)
    branch = names["Branch"]()  # type: ignore[operator]
    branch.load_state_dict(weights)
    x = features(trunk, depth)
    with torch.no_grad():
        torch.testing.assert_close(branch.eval()(x), tail(x).softmax(1), rtol=1e-4, atol=1e-6)
    assert max(len(line) for line in text.splitlines()) <= 120


def test_blocks_that_are_not_made_of_torch_s_own_modules_are_exported_without_source(tmp_path: Path) -> None:
    trunk = trunk_of("efficientnet_b0", 32)
    tail, record = made(trunk, 17, 18, "average")
    folder = export_branch((tail, record), tmp_path / "bald")
    contract = json.loads((folder / "branch.json").read_text())
    assert contract["source"] is None
    assert "cannot be written as plain torch" in contract["without_source"]
    assert sorted(contract["files"]) == ["branch.onnx", "golden.npz", "weights.safetensors"]


class Overwriting(nn.Module):
    """Reads a map again after its activation was taken in place."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        found = self.convolution(maps)
        result: Tensor = self.activation(found) * found
        return result


def test_a_map_that_is_overwritten_and_read_again_has_no_source() -> None:
    tail = Tail([("block", Overwriting())], 3, 2)
    record = BranchRecord("bald", VALUES, (3, 4, 4), 1, "e" * 64, kind="tail", backbone="toy")
    with pytest.raises(BranchError, match="overwrite a map that is read again"):
        tail_source(tail, record)


class Constant(nn.Module):
    """A convolution and a constant that is no weight."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        self.shift: Tensor
        self.register_buffer("shift", torch.full((3, 1, 1), 2.0), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.convolution(maps) + self.shift
        return result


def test_constants_that_are_no_weights_come_back_with_a_saved_tail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build() -> BlockChain:
        return BlockChain([[("first", Constant())], [("second", Constant())]])

    table = Backbone("constant", ("first", "second"), build, 8, 1, 1)
    monkeypatch.setitem(BACKBONES, "constant", table)
    trunk = Trunk("constant", table.build(), Preprocessing(8))
    tail, record = made(trunk, 1, 2, "average")
    save_branch(tmp_path / "bald", tail, record)
    loaded, _ = load_branch(tmp_path / "bald")
    x = features(trunk, 1)
    with torch.no_grad():
        assert torch.equal(loaded(x), tail(x))


def test_tails_that_cannot_be_are_refused(trunk: Trunk) -> None:
    with pytest.raises(SpaceError, match=r"must be above the freeze depth \(5\), got 5"):
        tail_space(5, blocks=(5,))
    with pytest.raises(TrunkError, match="between 1 and 6, is 9"):
        tail_branch(trunk, architecture(4, 9, "average"), 2)
    with pytest.raises(TrunkError, match="must end after 5 to 6 of them, is to end after 4"):
        trunk.tail(4, 2, blocks=4)
    with pytest.raises(BranchError, match="a tail of resnet18 cannot follow a trunk of small_cnn"):
        tail_branch(trunk, architecture(4, 5, "average", "resnet18"), 2)
    assert tail_plan(architecture(4, 5, "bilinear")).described() == (
        "block 4 of small_cnn, bilinear pooling at width 6"
    )


def test_a_record_of_other_channels_is_refused(trunk: Trunk, tmp_path: Path) -> None:
    tail, record = made(trunk, 3, 5, "average")
    save_branch(tmp_path / "bald", tail, record)
    saved = tmp_path / "bald" / "branch.json"
    channels = record.feature_shape[0]
    saved.write_text(saved.read_text().replace(f"[\n    {channels},", "[\n    7,").replace(f"[{channels},", "[7,"))
    with pytest.raises(BranchError, match=f"small_cnn has {channels} channels after 3 blocks, not 7"):
        load_branch(tmp_path / "bald")


def test_pools_that_their_text_would_not_tell_are_not_written() -> None:
    for pool in (nn.MaxPool2d(3, dilation=2), nn.AvgPool2d(3, divisor_override=2)):
        with pytest.raises(BranchError, match="cannot be exported as source: export it as ONNX"):
            CONSTRUCTORS[type(pool)](pool)
