"""Costs of micro branches by parts against the branch as a whole."""

import numpy as np
import pytest
import torch

from branches.branch import Branch
from branches.costs.architecture import branch_costs, branch_workload
from branches.costs.module import macs, parameters, workload
from search_spaces import micro_space
from search_spaces.operations import ACTIVATIONS, OPERATIONS

SPACE = micro_space(
    3,
    cells=5,
    reductions=(2, 4),
    widths=(4, 6),
    depths=(1, 2, 3, 4, 5),
    operations=OPERATIONS,
    activations=ACTIVATIONS,
)


@pytest.mark.parametrize("seed", range(12))
def test_the_parts_of_a_micro_branch_add_up_to_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    architecture = SPACE.random(rng)
    height, width = (int(side) for side in rng.integers(1, 10, 2))
    shape = (7, height, width)
    branch = Branch(architecture, shape, 3)
    assert tuple(branch_costs(architecture, shape, 3)) == (parameters(branch), macs(branch, shape))
    maps = [torch.zeros(1, *shape).contiguous(memory_format=torch.channels_last)]
    assert branch_workload(architecture, shape, 3) == workload(branch.eval(), maps)
