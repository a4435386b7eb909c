import copy

import numpy as np
import pytest
import torch
from torch import nn

from branches.branch import Branch
from branches.costs.module import macs, parameters
from search_spaces import Architecture, macro_space, plan

KERNELS = {"conv3x3": 9, "conv5x5": 25, "separable3x3": 9, "separable5x5": 25}


def by_formula(architecture: Architecture, channels: int, area: int, values: int) -> tuple[int, int]:
    """(parameters, macs), from the choices alone."""
    graph = plan(architecture)
    width = graph.width
    convolutions = channels * width
    for operation, _, _ in graph.nodes:
        taps = KERNELS.get(operation, 0)
        convolutions += (width * taps + width * width) if operation.startswith("separable") else taps * width * width
    norms = 2 * width * (1 + len(graph.nodes))
    inputs = (width if graph.pooling == "average" else width * width) + (channels if graph.shortcut else 0)
    products = width * width * area if graph.pooling == "bilinear" else 0
    return convolutions + norms + (inputs + 1) * values, convolutions * area + products + inputs * values


@pytest.mark.parametrize("seed", range(20))
def test_costs_of_a_branch_by_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    architecture = macro_space(3, widths=(4, 8)).random(rng)
    height, width = (int(size) for size in rng.integers(1, 8, 2))
    branch = Branch(architecture, (10, height, width), 3)
    assert (parameters(branch), macs(branch, (10, height, width))) == by_formula(architecture, 10, height * width, 3)


def test_costs_of_a_tail_with_strides_and_branches_by_hand() -> None:
    class Tail(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left = nn.Conv2d(3, 4, 3, stride=2, bias=False)
            self.right = nn.Sequential(nn.Conv2d(3, 2, (1, 7), stride=2, padding=(0, 3)), nn.BatchNorm2d(2))
            self.linear = nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.linear(self.left(x).mean((2, 3)) + self.right(x).mean())
            return result

    # 9 x 9 -> left 4 x 4, right 5 x 5
    tail = Tail()
    assert macs(tail, (3, 9, 9)) == 4 * 4 * 4 * 27 + 2 * 5 * 5 * 21 + 4 * 5
    assert parameters(tail) == 4 * 27 + (2 * 21 + 2) + 4 + (4 * 5 + 5)
    tail.left.requires_grad_(False)
    assert parameters(tail) == (2 * 21 + 2) + 4 + (4 * 5 + 5)


def test_counting_leaves_mode_and_state_as_they_were() -> None:
    branch = Branch(macro_space(2, widths=(4,)).random(np.random.default_rng(0)), (10, 4, 4), 2)
    branch.stem.eval()
    state = copy.deepcopy(branch.state_dict())
    macs(branch, (10, 4, 4))
    assert (branch.training, branch.stem.training, branch.head.training) == (True, False, True)
    assert all(torch.equal(value, branch.state_dict()[name]) for name, value in state.items())


def test_counting_a_module_without_weights() -> None:
    assert (macs(nn.Flatten(), (10, 4, 4)), parameters(nn.Flatten())) == (0, 0)
