"""A name of the search spaces is a whole entry: built, of the stated shape, counted, exported; a forgotten place fails.

An operation or activation: `search_spaces.operations` (its name, and what people call it) and `branches.layers` (its
module); one of a torch module that is new here also `branches.export.source.CONSTRUCTORS`. A pooling: `POOLED` and
`branches.layers.POOLINGS`. The comments of graftnet.toml name them all: tests/graftnet/project/test_config.py.
"""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from branches.branch import Branch
from branches.costs.architecture import branch_costs
from branches.costs.module import macs, parameters
from branches.export.source import branch_source
from branches.export.traced import tail_source
from branches.layers import ACTIVATIONS, OPERATIONS, POOLINGS, Pooling, pooled_features, pooled_shape
from branches.saved import BranchRecord
from branches.tails import tail_branch
from nas.supernet.supernet import Supernet
from search_spaces import Architecture, macro_space, micro_space, operations, tail_space
from tests.branches.export.test_folder import lived_in
from trunk.backbones.chain import build_small_cnn
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

SHAPE = (7, 4, 4)


def record_of(architecture: Architecture, shape: tuple[int, int, int], kind: str = "branch") -> BranchRecord:
    return BranchRecord(
        "bald", ("no", "yes"), shape, 4, "f" * 64, architecture=architecture, kind=kind, backbone="small_cnn"
    )


def run_alone(text: str, weights: dict[str, Tensor], features: Tensor) -> Tensor:
    names: dict[str, object] = {"__file__": "branch.py", "__name__": "branch"}
    exec(compile(text, "branch.py", "exec"), names)
    module: nn.Module = names["Branch"]()  # type: ignore[operator]
    module.load_state_dict(weights)
    with torch.no_grad():
        scores: Tensor = module.eval()(features)
    return scores


def check_whole(architecture: Architecture) -> None:
    branch = Branch(architecture, SHAPE, 2, generator=torch.Generator().manual_seed(0))
    assert branch_costs(architecture, SHAPE, 2) == (parameters(branch), macs(branch, SHAPE))
    lived_in(branch)
    features = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(2))
    features = features.contiguous(memory_format=torch.channels_last)
    text, weights = branch_source(branch, record_of(architecture, SHAPE))
    with torch.no_grad():
        assert torch.equal(run_alone(text, weights, features), branch(features).softmax(1))


def check_pooling(pooling: str) -> None:
    maps = torch.randn(2, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    pool = POOLINGS[pooling].module()
    assert pool(maps).shape == (2, pooled_features(pooling, 6))
    # The features of the first channels lie in the corner of the wide map's, or widths could not share weights: a
    # feature that reads a later channel is outside it.
    inside = torch.zeros(pooled_shape(pooling, 6), dtype=torch.bool)
    inside[tuple(slice(size) for size in pooled_shape(pooling, 4))] = True
    changed = maps.clone()
    changed[:, 4:] += 1.0
    if not operations.POOLED[pooling].rule:  # nothing normalises over all features
        assert torch.equal(pool(maps)[:, inside.flatten()], pool(changed)[:, inside.flatten()])
    space = macro_space(2, widths=(4, 6), poolings=(pooling,))
    for seed in range(3):
        check_whole(space.random(np.random.default_rng(seed)))
    architecture = space.random(np.random.default_rng(1))
    net = Supernet(space, SHAPE, 2, generator=torch.Generator().manual_seed(0))
    assert net(torch.randn(4, *SHAPE), architecture).shape == (4, 2)
    trunk = Trunk("small_cnn", build_small_cnn(), Preprocessing(16))
    by_hand = tail_space(4, backbone="small_cnn", blocks=(6,), poolings=(pooling,), widths=(5,))
    chosen = by_hand.random(np.random.default_rng(0))
    tail = lived_in(tail_branch(trunk, chosen, 2, generator=torch.Generator().manual_seed(0)))
    shape = trunk.feature_shape(4)
    features = torch.randn(2, *shape, generator=torch.Generator().manual_seed(3))
    text, weights = tail_source(tail, record_of(chosen, shape, "tail"))  # type: ignore[arg-type]
    with torch.no_grad():
        expected = tail(features).softmax(1)
    torch.testing.assert_close(run_alone(text, weights, features), expected, rtol=1e-4, atol=1e-7)
    assert f"{pooling} pooling" in text


def test_the_rooms_hold_the_same_names() -> None:
    assert tuple(OPERATIONS) == operations.OPERATIONS
    assert tuple(ACTIVATIONS) == operations.ACTIVATIONS
    assert tuple(POOLINGS) == operations.POOLINGS
    assert {*operations.CHAIN_OPERATIONS, *operations.CELL_OPERATIONS} <= {*operations.OPERATIONS}
    assert {*operations.HEAD_POOLINGS} <= {*operations.POOLINGS}


def test_what_a_space_offers_by_default_is_what_it_offered() -> None:
    """Another name is for those who ask for it: what was searched with the usual ones stays current."""
    offered = {
        space.name: {decision.name.rpartition(".")[2]: decision.choices for decision in space.decisions}
        for space in (macro_space(1), micro_space(1))
    }
    assert offered["macro"]["operation"] == operations.CHAIN_OPERATIONS
    assert offered["micro"]["operation_a"] == operations.CELL_OPERATIONS
    assert all(space["pooling"] == ("average", "bilinear") for space in offered.values())


@pytest.mark.parametrize("operation", operations.OPERATIONS)
def test_an_operation_is_built_counted_and_exported(operation: str) -> None:
    rng = np.random.default_rng(0)
    check_whole(macro_space(2, widths=(6,), operations=(operation,)).random(rng))
    check_whole(micro_space(2, widths=(6,), depths=(2,), operations=(operation,)).random(rng))


@pytest.mark.parametrize("activation", operations.ACTIVATIONS)
def test_an_activation_is_built_counted_and_exported(activation: str) -> None:
    rng = np.random.default_rng(0)
    check_whole(macro_space(2, widths=(6,), activations=(activation,)).random(rng))
    check_whole(micro_space(2, widths=(6,), depths=(2,), activations=(activation,)).random(rng))


@pytest.mark.parametrize("pooling", operations.POOLINGS)
def test_a_pooling_is_built_of_its_stated_width_counted_shared_and_exported(pooling: str) -> None:
    check_pooling(pooling)


class Extremes(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps.amax((2, 3)), maps.amin((2, 3))], dim=1)


def test_a_third_pooling_takes_two_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(operations.POOLED, "extremes", operations.Pooled(lambda width: (2, width)))
    source = ("pooled = torch.cat([maps.amax((2, 3)), maps.amin((2, 3))], dim=1)",)
    monkeypatch.setitem(POOLINGS, "extremes", Pooling(Extremes, source))
    for space in ("macro", "tail"):  # what reads the names when it is imported
        monkeypatch.setattr(f"search_spaces.{space}.POOLINGS", tuple(operations.POOLED))
    check_pooling("extremes")
    assert pooled_features("extremes", 6) == 12
