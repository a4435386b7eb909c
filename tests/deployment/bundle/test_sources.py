"""Branches that read averages of earlier depths beside one that does not: every form of a bundle gives their scores."""

from pathlib import Path

import numpy as np
import pytest
import torch

from branches.branch import Branch
from branches.errors import BranchError
from branches.grafting import GraftedNet
from branches.probe import LinearProbe
from branches.saved import BranchRecord, load_branch, save_branch
from deployment.bundle import write_bundle
from deployment.bundle.change import add_branch
from deployment.errors import BundleError
from deployment.runtime import Runtime
from deployment.runtime.exported import Exported
from deployment.targets.torch_source import write_source
from deployment.targets.triton import play, write_repository
from search_spaces import macro_space
from tests.deployment.bundles import noise, save_small, settle, small_trunk
from trunk.features.context import read
from trunk.trunk import Trunk

DEPTH, EARLIER = 4, (1, 2, 3)


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return small_trunk(0)


@pytest.fixture(scope="module")
def home(trunk: Trunk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of three: a branch of its own cut, one that reads all depths, and a probe of all depths."""
    home = tmp_path_factory.mktemp("sources")
    channels = tuple(trunk.feature_shape(depth)[0] for depth in EARLIER)
    own = trunk.feature_shape(DEPTH)
    shape = (own[0] + sum(channels), *own[1:])
    about = (("no", "yes"), shape, DEPTH, trunk.fingerprint)
    space = macro_space(2, widths=(4,), shortcuts=(True,), sources=channels)
    architecture = space.random(np.random.default_rng(0))
    branch = Branch(architecture, shape, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        settle(branch, read(trunk.capture(noise(), (*EARLIER, DEPTH)), DEPTH, EARLIER))
    save_branch(home / "hat", branch, BranchRecord("hat", *about, architecture=architecture, sources=EARLIER))
    probe = BranchRecord("coat", *about, kind="linear_probe", sources=EARLIER)
    save_branch(home / "coat", LinearProbe(shape[0], 2), probe)
    plain = save_small(home, trunk, "bald", depth=DEPTH)
    write_bundle(trunk, [plain, home / "hat", home / "coat"], home / "bundle", images=noise())
    return home


def test_the_runtime_gives_the_grafted_scores_in_parts_and_joined(trunk: Trunk, home: Path) -> None:
    net = GraftedNet(trunk)
    for name in ("bald", "hat", "coat"):
        net.graft_saved(home / name)
    expected = net(noise())
    for graph in ("parts", "joined"):
        found = Exported(home / "bundle", graph=graph).scores_of_images(noise().numpy())
        for name, scores in expected.items():
            np.testing.assert_allclose(found[name], scores.detach(), rtol=1e-4, atol=1e-6)
    assert all(check["ok"] for check in Runtime(home / "bundle").verify())
    runtime = Runtime(home / "bundle")
    assert runtime.bundle["outputs"] == {"4": "block3", "4+1+2+3": "block3_with_1_2_3"}
    assert "sources" not in runtime.contracts["bald"]
    assert runtime.contracts["hat"]["sources"] == [1, 2, 3]


def test_other_forms_give_the_same(trunk: Trunk, home: Path) -> None:
    expected = Runtime(home / "bundle").scores_of_images(noise().numpy())
    write_repository(home / "bundle", home / "triton")
    found = play(home / "triton", noise().numpy())
    for name, scores in expected.items():
        np.testing.assert_allclose(found[name], scores, rtol=1e-5, atol=1e-6)
    write_bundle(trunk, [home / "bald", home / "hat"], home / "written", images=noise())  # a probe has no source
    write_source(trunk, home / "written", home / "source")  # which compares the scores itself
    assert "'4+1+2+3'" in (home / "source" / "trunk.py").read_text()


def test_a_bundle_whose_trunk_does_not_give_the_averages_refuses_it(trunk: Trunk, home: Path) -> None:
    write_bundle(trunk, [home / "bald"], home / "alone", images=noise())
    with pytest.raises(BundleError, match=r"after 4 blocks and reads the averages .* export the whole bundle"):
        add_branch(home / "alone", home / "hat")
    add_branch(home / "bundle", home / "hat")
    assert all(check["ok"] for check in Runtime(home / "bundle").verify())


def test_a_branch_of_other_channels_is_not_grafted(trunk: Trunk, home: Path) -> None:
    module, record = load_branch(home / "hat")
    with pytest.raises(BranchError, match="search it again at this depth"):
        GraftedNet(trunk).graft(
            "hat", record.values, module, freeze_depth=DEPTH, fingerprint=trunk.fingerprint, sources=(1, 2)
        )
