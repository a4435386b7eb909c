"""Activation maps: where pooling averages they add up to the logits; elsewhere they are Grad-CAM, by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from branches.activation_maps import CAM, GRAD_CAM, activation_maps, evidence
from branches.branch import Branch
from branches.compression import Restored
from branches.errors import BranchError
from branches.layers import ProjectedPool
from branches.probe import LinearProbe
from search_spaces import Space, macro_space, micro_space
from trunk.trunk import Tail

SHAPE = (6, 4, 4)


def branch_of(space: Space, values: int) -> Branch:
    """A branch whose statistics and weights are no defaults."""
    branch = Branch(space.random(np.random.default_rng(1)), SHAPE, values)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        branch.head.linear.weight.normal_(generator=generator)
        branch.train()(torch.randn(32, *SHAPE, generator=generator))
    return branch.eval()


def macro(pooling: str, shortcut: bool) -> Space:
    return macro_space(3, widths=(5,), poolings=(pooling,), shortcuts=(shortcut,))


def modules(values: int) -> list[nn.Module]:
    """One of each kind whose logits are a mean over positions."""
    generator = torch.Generator().manual_seed(3)
    micro = micro_space(2, widths=(4,), cells=2, poolings=("average",), shortcuts=(True,))
    tail = Tail([("block", nn.Conv2d(6, 7, 3, padding=1))], 7, values, generator=generator).eval()
    compressed = Restored(LinearProbe(6, values), torch.randn(6, 6, generator=generator), torch.randn(6))
    return [
        branch_of(macro("average", False), values),
        branch_of(macro("average", True), values),
        branch_of(micro, values),
        tail,
        LinearProbe(6, values),
        compressed,
    ]


@pytest.mark.parametrize("values", [2, 3])
@pytest.mark.parametrize("place", range(6))
def test_the_mean_of_a_map_is_the_evidence_up_to_a_constant(place: int, values: int) -> None:
    module = modules(values)[place]
    features = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(4))
    asked = torch.full((5,), values - 1)
    found = activation_maps(module, features, asked)
    assert found.method == CAM
    constant = evidence(module(features), asked) - found.maps.mean((1, 2))
    assert constant.std() < 1e-5
    assert found.maps.std() > 1e-3


def test_of_two_values_one_speaks_against_the_other() -> None:
    branch = branch_of(macro("average", True), 2)
    features = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(5))
    no, yes = (activation_maps(branch, features, torch.full((3,), value)).maps for value in (0, 1))
    torch.testing.assert_close(no, -yes)


@pytest.mark.parametrize("kind", ["branch", "tail"])
def test_grad_cam_behind_bilinear_pooling_is_the_papers_formula(kind: str) -> None:
    if kind == "branch":
        module: Any = branch_of(macro("bilinear", True), 3)
    else:
        pool = (ProjectedPool(7, 3), 9)
        module = Tail([("block", nn.Conv2d(6, 7, 3, padding=1))], 7, 3, pool=pool).eval()
    features = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(6))
    asked = torch.tensor([2, 0])
    found = activation_maps(module, features, asked)
    assert found.method == GRAD_CAM
    seen: list[Tensor] = []
    reader = module.head if kind == "branch" else module.pool

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        inputs[0].retain_grad()
        seen.append(inputs[0])

    reader.register_forward_pre_hook(keep)
    evidence(module(features), asked).sum().backward()
    maps = seen[0]
    assert maps.grad is not None
    expected = torch.einsum("nc,nchw->nhw", maps.grad.mean((2, 3)), maps.detach()).clamp(min=0)
    torch.testing.assert_close(found.maps, expected)
    assert expected.max() > 0


def test_the_module_is_left_as_it_was() -> None:
    branch = branch_of(macro("bilinear", False), 2)
    before = {name: value.clone() for name, value in branch.state_dict().items()}
    activation_maps(branch, torch.randn(2, *SHAPE), torch.tensor([0, 1]))
    assert not branch.training
    assert all(torch.equal(before[name], value) for name, value in branch.state_dict().items())
    assert all(weight.grad is None for weight in branch.parameters())


def test_what_has_no_map_is_refused() -> None:
    with pytest.raises(BranchError, match="one position"):
        activation_maps(LinearProbe(6, 2), torch.randn(2, 6, 1, 1), torch.tensor([0, 1]))
    with pytest.raises(BranchError, match="Conv2d"):
        activation_maps(nn.Conv2d(6, 2, 1), torch.randn(1, *SHAPE), torch.tensor([0]))
