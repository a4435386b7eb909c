"""Grafting: one trunk pass, other branches bit-identical, wrong trunks refused; saved branches come back the same."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from branches.branch import Branch
from branches.errors import BranchError
from branches.grafting import GraftedNet
from branches.probe import LinearProbe
from branches.saved import BranchRecord, load_branch, save_branch
from branches.settings import FitSettings
from branches.training import fit
from search_spaces import Architecture, macro_space
from trunk.backbones.chain import build_small_cnn
from trunk.features.source import ArrayFeatures, LabelledFeatures
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

SPACE = macro_space(2, widths=(4, 8))


def small_trunk(seed: int = 0) -> Trunk:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Trunk("small_cnn", build_small_cnn(), Preprocessing(16))


def architecture(seed: int) -> Architecture:
    return SPACE.random(np.random.default_rng(seed))


def branch(trunk: Trunk, depth: int, values: int = 2, seed: int = 0) -> Branch:
    module = Branch(
        architecture(seed), trunk.feature_shape(depth), values, generator=torch.Generator().manual_seed(seed)
    )
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = 0.1 * torch.randn(part.num_features, generator=generator)
    return module


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return small_trunk()


@pytest.fixture
def net(trunk: Trunk) -> GraftedNet:
    net = GraftedNet(trunk)
    for seed, (name, depth, values) in enumerate([("bald", 4, 2), ("age.group", 3, 3), ("keys", 4, 2)]):
        net.graft(
            name,
            [f"v{number}" for number in range(values)],
            branch(trunk, depth, values, seed),
            freeze_depth=depth,
            fingerprint=trunk.fingerprint,
        )
    return net


IMAGES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(9))


def test_scores_are_those_of_each_branch_alone(trunk: Trunk, net: GraftedNet) -> None:
    with torch.no_grad():
        scores = net(IMAGES)
        for seed, (name, depth, values) in enumerate([("bald", 4, 2), ("age.group", 3, 3), ("keys", 4, 2)]):
            alone = branch(trunk, depth, values, seed).eval()(trunk(IMAGES, depth)).softmax(1)
            assert torch.equal(scores[name], alone)
            assert torch.allclose(scores[name].sum(1), torch.ones(3))
    assert tuple(scores) == net.attributes == ("bald", "age.group", "keys")


@pytest.mark.parametrize("depth", [1, 4, 6])
def test_grafting_and_pruning_leave_all_others_bit_identical(trunk: Trunk, net: GraftedNet, depth: int) -> None:
    with torch.no_grad():
        before = net(IMAGES)
        net.graft("new", ["no", "yes"], branch(trunk, depth, seed=7), freeze_depth=depth, fingerprint=trunk.fingerprint)
        net.train()
        with_new = net(IMAGES)
        net.prune("new")
        after = net(IMAGES)
    assert "new" in with_new
    assert "new" not in after
    for name, scores in before.items():
        assert torch.equal(scores, with_new[name])
        assert torch.equal(scores, after[name])


def test_a_subset_runs_the_trunk_once_and_only_its_branches(net: GraftedNet, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[int]] = []
    capture = net.trunk.capture

    def counted(images: Tensor, depths: Iterable[int]) -> Mapping[int, Tensor]:
        calls.append(list(depths))
        return capture(images, depths)

    monkeypatch.setattr(net.trunk, "capture", counted)
    with torch.no_grad():
        everything = net(IMAGES)
        net.branches["branch/keys"].forward = None  # type: ignore[assignment]  # fails when it is called
        some = net(IMAGES, ["age.group", "bald"])
    assert calls == [[3, 4], [3, 4]]
    assert list(some) == ["age.group", "bald"]
    assert all(torch.equal(some[name], everything[name]) for name in some)


def test_a_branch_of_another_trunk_is_refused_with_both_fingerprints(net: GraftedNet) -> None:
    other = small_trunk(seed=1)
    with pytest.raises(BranchError) as caught:
        net.graft("new", ["no", "yes"], branch(other, 4), freeze_depth=4, fingerprint=other.fingerprint)
    assert other.fingerprint in str(caught.value)
    assert net.trunk.fingerprint in str(caught.value)
    assert "search it again" in str(caught.value)
    assert "new" not in net.attributes


def test_other_mistakes_are_named(trunk: Trunk, net: GraftedNet) -> None:
    known = trunk.fingerprint
    with pytest.raises(BranchError, match="prune it first"):
        net.graft("bald", ["no", "yes"], branch(trunk, 4), freeze_depth=4, fingerprint=known)
    with pytest.raises(BranchError, match="block 7"):
        net.graft("new", ["no", "yes"], branch(trunk, 4), freeze_depth=7, fingerprint=known)
    with pytest.raises(BranchError, match="reads features"):
        net.graft("new", ["no", "yes"], branch(trunk, 4), freeze_depth=2, fingerprint=known)
    with pytest.raises(BranchError, match=r"'hat' is not grafted; grafted are: bald, age.group, keys"):
        net(IMAGES, ["hat"])
    with pytest.raises(BranchError, match="without a trunk"):
        net.graft("new", ["no", "yes"], branch(trunk, 4), freeze_depth=0, fingerprint="")


def record_of(trunk: Trunk, kind: str, depth: int = 4, seed: int = 0) -> BranchRecord:
    return BranchRecord(
        "bald",
        ("no", "yes"),
        trunk.feature_shape(depth),
        depth,
        trunk.fingerprint,
        threshold=0.25,
        kind=kind,
        architecture=architecture(seed) if kind == "branch" else None,
        backbone="small_cnn",
        metrics={"val": {"auroc": 0.9}},
    )


def module_of(trunk: Trunk, kind: str) -> nn.Module:
    if kind == "tail":
        return trunk.tail(4, 2, generator=torch.Generator().manual_seed(0))
    return branch(trunk, 4) if kind == "branch" else LinearProbe(96, 2)


@pytest.mark.parametrize("kind", ["branch", "tail", "linear_probe"])
def test_a_trained_branch_comes_back_to_the_bit_and_grafts(trunk: Trunk, kind: str, tmp_path: Path) -> None:
    module, record = module_of(trunk, kind), record_of(trunk, kind)
    images = torch.randn(24, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    features = trunk(images, 4)
    split = LabelledFeatures(ArrayFeatures(features), torch.arange(24) % 2, 2)
    fit(module, split, split, FitSettings(epochs=1, batch_size=8), seed=0)
    save_branch(tmp_path / "bald", module, record)
    loaded, read = load_branch(tmp_path / "bald")
    assert read == record
    net = GraftedNet(trunk)
    assert net.graft_saved(tmp_path / "bald") == "bald"
    with torch.no_grad():
        assert torch.equal(loaded(features), module(features))
        assert torch.equal(net(images)["bald"], module(features).softmax(1))
    assert net.grafts["bald"].threshold == 0.25
    save_branch(tmp_path / "bald", loaded, record)  # replaces the folder
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bald", "branch.json", "weights.safetensors"]


def test_damaged_folders_are_named(trunk: Trunk, tmp_path: Path) -> None:
    with pytest.raises(BranchError, match="holds no saved branch"):
        load_branch(tmp_path)
    folder = tmp_path / "bald"
    save_branch(folder, branch(trunk, 4), record_of(trunk, "branch"))
    weights = load_file(folder / "weights.safetensors")
    weights["stem.convolution.weight"] = weights["stem.convolution.weight"][:2].clone()
    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(BranchError, match=r"stem.convolution.weight is torch.float32 \(2, 96, 1, 1\), must be"):
        load_branch(folder)
    (folder / "weights.safetensors").write_bytes(b"torn")
    with pytest.raises(BranchError, match="cannot be read"):
        load_branch(folder)
    (folder / "branch.json").write_text("{}")
    with pytest.raises(BranchError, match="cannot be read"):
        load_branch(folder)


def test_somebody_elses_folder_is_left_alone(trunk: Trunk, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BranchError, match="choose another folder"):
        save_branch(tmp_path, branch(trunk, 4), record_of(trunk, "branch"))
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_failure_half_way_leaves_the_old_branch(trunk: Trunk, tmp_path: Path) -> None:
    folder = tmp_path / "bald"
    save_branch(folder, branch(trunk, 4), record_of(trunk, "branch"))
    before = (folder / "weights.safetensors").read_bytes()
    unwritable = BranchRecord(**{**record_of(trunk, "branch").__dict__, "metrics": {"val": float("nan")}})
    with pytest.raises(ValueError, match="JSON"):
        save_branch(folder, branch(trunk, 4, seed=3), unwritable)
    assert (folder / "weights.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bald"]
