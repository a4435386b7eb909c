"""Micro branches against a reference that reads the choices, and their costs against a formula."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from branches.branch import Branch, Cell
from branches.costs.module import macs, parameters
from branches.saved import BranchRecord, load_branch, save_branch
from search_spaces import Architecture, MicroPlan, micro_plan, micro_space
from search_spaces.operations import OPERATIONS

SPACE = micro_space(
    3,
    cells=4,
    reductions=(2, 4),
    widths=(4, 6),
    depths=(1, 2, 3, 4),
    operations=OPERATIONS,
    activations=("relu", "tanh"),
)
CHANNELS = 12
TAPS = {"conv3x3": 9, "conv5x5": 25, "separable3x3": 9, "separable5x5": 25}


def features(count: int, height: int, width: int | None = None, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, CHANNELS, height, width or height, generator=generator)


def chosen(**choices: object) -> Architecture:
    first = SPACE.architecture([0] * len(SPACE.decisions))
    wanted = {name.replace("__", "."): value for name, value in choices.items()}
    return replace(first, choices=tuple((dict(first.choices) | wanted).items()))  # type: ignore[arg-type]


def reference(architecture: Architecture, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The network an architecture means, straight from its choices: every cell computed, whether read or not.

    Weights of parts that a branch leaves out are taken as zeros: what they give must not matter.
    """
    width = int(architecture["width"])
    held = [key.split(".")[1] for key in weights if key.startswith("cells.")]
    numbers = [cell.number for cell in micro_plan(architecture).cells]
    assert len(set(held)) == len(numbers)

    def projected(maps: Tensor, prefix: str, stride: int = 1) -> Tensor:
        weight = weights.get(f"{prefix}.convolution.weight", maps.new_zeros(width, maps.shape[1], 1, 1))
        return functional.relu(norm(functional.conv2d(maps, weight, stride=stride), prefix))

    def norm(maps: Tensor, prefix: str) -> Tensor:
        one = maps.new_ones(maps.shape[1])
        scale, shift = weights.get(f"{prefix}.norm.weight", one), weights.get(f"{prefix}.norm.bias", one * 0)
        return functional.batch_norm(maps, None, None, scale, shift, True)

    def operation(name: object, prefix: str, maps: Tensor, stride: int) -> Tensor:
        """Everything at stride 1, then every second position: the same, by another way."""
        size = int(str(name)[-1]) if str(name)[-1].isdigit() else 1
        if str(name).startswith("conv"):
            weight = weights.get(f"{prefix}.weight", maps.new_zeros(width, width, size, size))
            maps = functional.conv2d(maps, weight, padding="same")
        elif str(name).startswith("separable"):
            depthwise = weights.get(f"{prefix}.depthwise.weight", maps.new_zeros(width, 1, size, size))
            pointwise = weights.get(f"{prefix}.pointwise.weight", maps.new_zeros(width, width, 1, 1))
            maps = functional.conv2d(functional.conv2d(maps, depthwise, padding="same", groups=width), pointwise)
        elif name == "average_pool3x3":
            maps = functional.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)
        elif name == "max_pool3x3":
            maps = functional.max_pool2d(maps, 3, 1, 1)
        return maps[:, :, ::stride, ::stride]

    before = previous = projected(x, "stem")
    for number in range(1, int(architecture["depth"]) + 1):
        kind = "reduction" if number in (2, 4) else "normal"
        prefix = f"cells.{numbers.index(number)}" if number in numbers else "nowhere"
        if before.shape[2:] != previous.shape[2:] or (number > 1 and number - 1 in (2, 4)):
            before = projected(before, f"{prefix}.halve", 2)
        maps, read = [before, previous], set()
        for node in (2, 3, 4):
            name = f"{kind}.node{node}"
            pairs = []
            for pair in "ab":
                source = int(architecture[f"{name}.input_{pair}"])
                read.add(source)
                pairs.append(
                    (str(architecture[f"{name}.operation_{pair}"]), 1 if number == 1 and source < 2 else source)
                )
            total: Tensor | float = 0.0
            for slot, (chosen_operation, source) in zip(("first", "second"), sorted(pairs), strict=True):
                at = f"{prefix}.nodes.{node - 2}.{slot}"
                stride = 2 if kind == "reduction" and source < 2 else 1
                total = total + norm(operation(chosen_operation, f"{at}.operation", maps[source], stride), at)
            assert isinstance(total, Tensor)
            maps.append(total.relu() if architecture[f"{name}.activation"] == "relu" else total.tanh())
        ends = [maps[node] for node in (2, 3, 4) if node not in read]
        output = ends[0] if len(ends) == 1 else projected(torch.cat(ends, 1), f"{prefix}.merge")
        before, previous = previous, output
    pooled = previous.mean((2, 3))
    if architecture["head.pooling"] == "bilinear":
        rows = previous.flatten(2)
        products = torch.einsum("ncp,ndp->ncd", rows, rows).flatten(1) / rows.shape[2]
        rooted = products / (products.abs() + 1e-3).sqrt()
        pooled = rooted / (rooted.square().sum(1, keepdim=True) + 1e-6).sqrt()
    if architecture["head.shortcut"]:
        pooled = torch.cat([pooled, functional.batch_norm(x.mean((2, 3)), None, None, training=True)], 1)
    return functional.linear(pooled, weights["head.linear.weight"], weights["head.linear.bias"])


@pytest.mark.parametrize("seed", range(40))
def test_a_branch_computes_what_its_choices_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    architecture, size = SPACE.random(rng), int(rng.integers(1, 9))
    branch = Branch(architecture, (CHANNELS, size, size), 3, generator=torch.Generator().manual_seed(seed)).double()
    x = features(5, size, seed=seed).double()
    torch.testing.assert_close(branch(x), reference(architecture, branch.state_dict(), x), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 17, 35])
def test_any_architecture_runs_at_every_size(size: int) -> None:
    rng = np.random.default_rng(size)
    for other in (1, size, int(rng.integers(1, 36))):
        architecture = Architecture.from_json(json.loads(json.dumps(SPACE.random(rng).to_json())))
        branch = Branch(architecture, (CHANNELS, size, other), 2)
        logits = branch(features(2, size, other))
        logits.square().sum().backward()
        assert logits.shape == (2, 2)
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in branch.parameters())
        branch.eval()
        assert torch.isfinite(branch(features(1, size, other))).all()


def test_only_what_is_needed_is_built() -> None:
    branch = Branch(chosen(depth=3, normal__node2__input_a=1, reduction__node3__input_a=2), (CHANNELS, 4, 4), 2)
    first, second, third = (cell for cell in branch.parts if isinstance(cell, Cell))
    # A reduction cell's outputs are half its inputs; the third cell alone gets its two inputs at different sizes.
    assert [cell.halve is None for cell in (first, second, third)] == [True, True, False]
    # The normal cells' nodes are all loose; the second cell's node 3 reads node 2.
    merged = [next(cell.merge.parameters()).shape[1] for cell in (first, second, third) if cell.merge is not None]
    assert merged == [12, 8, 12]
    strides = [node.first.operation.stride for node in second.nodes]  # type: ignore[union-attr]
    assert strides == [(2, 2), (2, 2), (2, 2)]
    assert second.nodes[1].second.operation.stride == (1, 1)  # type: ignore[union-attr]


def by_formula(plan: MicroPlan, channels: int, sides: Sequence[int], values: int) -> tuple[int, int]:
    """(parameters, macs), from the plan alone: convolutions by hand, cell by cell."""
    width = plan.width
    sizes = {0: tuple(sides)}
    weights, products = channels * width + 2 * width, channels * width * sides[0] * sides[1]
    level: tuple[int, ...] = tuple(sides)
    for number in range(1, plan.cells[-1].number + 1):
        inner = tuple((side + 1) // 2 for side in level) if number in (2, 4) else level
        cell = next((cell for cell in plan.cells if cell.number == number), None)
        if cell is not None:
            if cell.halved:
                weights += width * width + 2 * width
                products += width * width * level[0] * level[1]
            for node in cell.nodes:
                for operation in node.operations:
                    taps = TAPS.get(operation, 0)
                    share = taps * width + width * width if operation.startswith("separable") else taps * width * width
                    weights += share + 2 * width
                    products += share * inner[0] * inner[1]
            if len(cell.loose) > 1:
                weights += len(cell.loose) * width * width + 2 * width
                products += len(cell.loose) * width * width * inner[0] * inner[1]
        level = sizes[number] = inner
    inputs = (width if plan.pooling == "average" else width * width) + (channels if plan.shortcut else 0)
    products += width * width * level[0] * level[1] if plan.pooling == "bilinear" else 0
    return weights + (inputs + 1) * values, products + inputs * values


@pytest.mark.parametrize("seed", range(20))
def test_costs_of_a_branch_by_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    architecture = SPACE.random(rng)
    height, width = (int(size) for size in rng.integers(1, 10, 2))
    branch = Branch(architecture, (10, height, width), 3)
    found = (parameters(branch), macs(branch, (10, height, width)))
    assert found == by_formula(micro_plan(architecture), 10, (height, width), 3)


def test_pairs_in_another_order_build_the_same_branch() -> None:
    one = chosen(depth=2, normal__node2__operation_a="conv5x5", reduction__node2__input_a=1)
    other = chosen(depth=2, normal__node2__operation_b="conv5x5", reduction__node2__input_b=1)
    assert SPACE.key(one) == SPACE.key(other)
    x = features(4, 5)
    assert torch.equal(Branch(one, (CHANNELS, 5, 5), 2)(x), Branch(other, (CHANNELS, 5, 5), 2)(x))


def test_renumbered_nodes_are_the_same_network() -> None:
    """Equal keys: with the weights of two nodes exchanged, the outputs agree."""
    last = {"depth": 1, "normal__node4__operation_b": "max_pool3x3"}
    one = chosen(**last, normal__node2__operation_a="conv5x5", normal__node4__input_a=2, normal__node4__input_b=3)
    other = chosen(**last, normal__node3__operation_a="conv5x5", normal__node4__input_a=3, normal__node4__input_b=2)
    assert SPACE.key(one) == SPACE.key(other)
    first, second = (Branch(architecture, (CHANNELS, 5, 5), 2).double() for architecture in (one, other))
    names = {"cells.0.nodes.0": "cells.0.nodes.1", "cells.0.nodes.1": "cells.0.nodes.0"}
    second.load_state_dict(
        {names.get(key[:15], key[:15]) + key[15:]: value for key, value in first.state_dict().items()}
    )
    x = features(4, 5).double()
    torch.testing.assert_close(first(x), second(x))
    assert not torch.allclose(Branch(other, (CHANNELS, 5, 5), 2).double()(x), first(x))


def test_a_micro_branch_is_saved_and_loaded(tmp_path: Path) -> None:
    architecture = SPACE.random(np.random.default_rng(3))
    branch = Branch(architecture, (CHANNELS, 5, 5), 2, generator=torch.Generator().manual_seed(4))
    branch(features(6, 5))
    record = BranchRecord("bald", ("no", "yes"), (CHANNELS, 5, 5), 8, "f" * 64, architecture=architecture)
    save_branch(tmp_path / "saved", branch.eval(), record)
    loaded, again = load_branch(tmp_path / "saved")
    assert again == record
    x = features(3, 5, seed=1)
    assert torch.equal(loaded(x), branch(x))
