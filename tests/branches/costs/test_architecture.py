"""Costs by parts against the branch as a whole, and the count of MACs against three others."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from branches.branch import Branch
from branches.costs.architecture import branch_costs, branch_workload, part_costs, parts
from branches.costs.module import Work, macs, parameters, workload
from branches.layers import BilinearPool
from search_spaces import Architecture, macro_space
from search_spaces.operations import ACTIVATIONS, OPERATIONS, POOLINGS
from tests.branches.costs.test_costs import by_formula

SHAPE = (5, 4, 3)
PRODUCTS = ("convolution", "depthwise", "addmm", "bmm", "mm")


def one_operation(operation: str, pooling: str, shortcut: bool = True) -> Architecture:
    space = macro_space(2, widths=(6,), operations=(operation,), poolings=(pooling,), shortcuts=(shortcut,))
    return space.random(np.random.default_rng(0))


def by_hooks(branch: Branch, shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates by hand, from the shapes that pass through the modules."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            _, _, height, width = output.shape
            taps = module.kernel_size[0] * module.kernel_size[1]
            total += height * width * module.out_channels * (module.in_channels // module.groups) * taps
        elif isinstance(module, nn.Linear):
            total += module.in_features * module.out_features
        elif isinstance(module, BilinearPool):
            _, channels, height, width = inputs[0].shape
            total += channels * channels * height * width

    for module in branch.modules():
        module.register_forward_hook(count)
    branch.eval()(torch.zeros(1, *shape))
    return total


def by_profiler(branch: Branch, shape: tuple[int, int, int]) -> float:
    """What torch's profiler estimates for convolutions and matrix products, two operations each."""
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as profiled, torch.inference_mode():
        branch.eval()(torch.zeros(1, *shape))
    counted = ("aten::conv2d", "aten::addmm", "aten::mm", "aten::bmm")
    return sum(event.flops for event in profiled.key_averages() if event.key in counted) / 2


@pytest.mark.parametrize(("operation", "pooling"), list(product(OPERATIONS, POOLINGS)))
def test_macs_agree_with_the_profiler_with_hooks_and_with_the_formula(operation: str, pooling: str) -> None:
    architecture = one_operation(operation, pooling)
    branch = Branch(architecture, SHAPE, 3)
    found = branch_costs(architecture, SHAPE, 3)
    assert found.macs == macs(branch, SHAPE) == by_profiler(branch, SHAPE) == by_hooks(branch, SHAPE)
    assert tuple(found) == by_formula(architecture, SHAPE[0], SHAPE[1] * SHAPE[2], 3)


@pytest.mark.parametrize("seed", range(15))
def test_the_parts_add_up_to_the_branch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    architecture = macro_space(4, widths=(4, 8), depths=(1, 3, 4), activations=ACTIVATIONS).random(rng)
    branch = Branch(architecture, SHAPE, 2)
    assert branch_costs(architecture, SHAPE, 2) == (parameters(branch), macs(branch, SHAPE))
    together, whole = branch_workload(architecture, SHAPE, 2), workload(branch.eval(), [torch.zeros(1, *SHAPE)])
    for kind in together.keys() | whole.keys():
        # A branch first brings its features into another layout, and divides the sum of several outputs.
        if kind not in ("clone", "_to_copy", "div", "empty"):
            assert together.get(kind) == whole.get(kind), kind
    assert sum(work.amount for kind, work in together.items() if kind.startswith(PRODUCTS)) == macs(branch, SHAPE)


def test_a_space_without_parts_is_counted_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = one_operation("conv3x3", "average")
    expected = branch_costs(architecture, SHAPE, 2)
    monkeypatch.setattr("branches.costs.architecture.PARTS", {})
    assert len(parts(architecture, SHAPE, 2)) == 1
    assert branch_costs(architecture, SHAPE, 2) == expected


def test_a_part_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = one_operation("conv5x5", "bilinear")
    branch_costs(architecture, SHAPE, 2)

    def refuse(*_shapes: object) -> int:
        raise AssertionError("counted again")

    monkeypatch.setattr("branches.costs.architecture.macs", refuse)
    branch_costs(architecture, SHAPE, 2)
    part_costs.cache_clear()
    with pytest.raises(AssertionError, match="counted again"):
        branch_costs(architecture, SHAPE, 2)


def test_work_by_hand() -> None:
    class Module(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x + x).relu() @ torch.ones(4, 2)

    found = workload(Module(), [torch.zeros(3, 4)])
    assert (found["add"], found["relu"], found["mm"]) == (Work(1, 12), Work(1, 12), Work(1, 24))
