import json

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from branches.branch import Branch
from branches.errors import BranchError
from branches.layers import bilinear_pool
from search_spaces import Architecture, SpaceError, macro_space
from search_spaces.operations import ACTIVATIONS

SPACE = macro_space(4, widths=(4, 8), activations=ACTIVATIONS)
CHANNELS = 12


def features(count: int, height: int, width: int | None = None, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, CHANNELS, height, width or height, generator=generator)


def reference(architecture: Architecture, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The network an architecture means, straight from its choices: batch statistics, contiguous layout."""

    def norm(maps: Tensor, name: str) -> Tensor:
        return functional.batch_norm(maps, None, None, weights[f"{name}.weight"], weights[f"{name}.bias"], True)

    def operation(name: object, prefix: str, maps: Tensor) -> Tensor:
        match name:
            case "conv3x3" | "conv5x5":
                return functional.conv2d(maps, weights[f"{prefix}.weight"], padding="same")
            case "separable3x3" | "separable5x5":
                depthwise = weights[f"{prefix}.depthwise.weight"]
                maps = functional.conv2d(maps, depthwise, padding="same", groups=len(depthwise))
                return functional.conv2d(maps, weights[f"{prefix}.pointwise.weight"])
            case "average_pool3x3":
                return functional.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)
        return functional.max_pool2d(maps, 3, 1, 1)

    activations = {
        "relu": functional.relu,
        "silu": functional.silu,
        "hard_swish": functional.hardswish,
        "leaky_relu": lambda maps: functional.leaky_relu(maps, 0.1),
        "gelu": functional.gelu,
        "tanh": torch.tanh,
    }
    start = functional.relu(norm(functional.conv2d(x, weights["stem.convolution.weight"]), "stem.norm"))
    maps: list[Tensor] = []
    read: set[int] = set()
    for node in range(1, 5):
        sources = [source for source in range(1, node) if architecture[f"edge{source}-{node}"]]
        read.update(sources)
        total = torch.stack([maps[source - 1] for source in sources]).sum(0) if sources else start
        total = operation(architecture[f"node{node}.operation"], f"nodes.{node - 1}.operation", total)
        total = norm(total, f"nodes.{node - 1}.norm")
        maps.append(activations[str(architecture[f"node{node}.activation"])](total))
    output = torch.stack([maps[node - 1] for node in range(1, 5) if node not in read]).mean(0)
    pooled = output.mean((2, 3)) if architecture["head.pooling"] == "average" else bilinear_pool(output)
    if architecture["head.shortcut"]:
        pooled = torch.cat([pooled, functional.batch_norm(x.mean((2, 3)), None, None, training=True)], 1)
    return functional.linear(pooled, weights["head.linear.weight"], weights["head.linear.bias"])


@pytest.mark.parametrize("seed", range(30))
def test_a_branch_computes_what_its_choices_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    architecture, size = SPACE.random(rng), int(rng.integers(1, 7))
    branch = Branch(architecture, (CHANNELS, size, size), 3, generator=torch.Generator().manual_seed(seed)).double()
    x = features(5, size, seed=seed).double()
    torch.testing.assert_close(branch(x), reference(architecture, branch.state_dict(), x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", range(1, 36))
def test_any_architecture_runs_at_every_size_from_1_to_35(size: int) -> None:
    rng = np.random.default_rng(size)
    architecture = SPACE.random(rng)
    other = int(rng.integers(1, 36))
    branch = Branch(Architecture.from_json(json.loads(json.dumps(architecture.to_json()))), (CHANNELS, size, other), 2)
    logits = branch(features(2, size, other))
    logits.square().sum().backward()
    assert logits.shape == (2, 2)
    assert all(weight.grad is not None and bool(torch.isfinite(weight.grad).all()) for weight in branch.parameters())
    branch.eval()
    assert torch.isfinite(branch(features(1, size, other))).all()


def test_the_layout_of_the_features_in_memory_does_not_matter() -> None:
    branch = Branch(SPACE.random(np.random.default_rng(0)), (CHANNELS, 4, 4), 2)
    x = features(3, 4)
    assert torch.equal(branch(x), branch(x.contiguous(memory_format=torch.channels_last)))
    assert torch.equal(branch(x), branch(x.repeat_interleave(2, 0)[::2]))


def test_in_evaluation_mode_an_image_is_scored_the_same_alone_and_in_a_batch() -> None:
    branch = Branch(SPACE.random(np.random.default_rng(0)), (CHANNELS, 4, 4), 2)
    branch(features(8, 4))
    branch.eval()
    x = features(6, 4, seed=1)
    torch.testing.assert_close(torch.cat([branch(x[i : i + 1]) for i in range(6)]), branch(x))


def test_the_generator_alone_decides_the_weights() -> None:
    architecture = SPACE.random(np.random.default_rng(0))
    before = torch.get_rng_state()
    first, again, other = (
        Branch(architecture, (CHANNELS, 4, 4), 2, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    x = features(2, 4)
    assert torch.equal(first(x), again(x))
    assert not torch.equal(first(x), other(x))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_state_is_all_there_is() -> None:
    architecture = SPACE.random(np.random.default_rng(0))
    trained, fresh = (
        Branch(architecture, (CHANNELS, 4, 4), 2, generator=torch.Generator().manual_seed(s)) for s in (1, 2)
    )
    trained(features(8, 4))
    fresh.load_state_dict(trained.state_dict())
    x = features(3, 4, seed=1)
    assert torch.equal(fresh.eval()(x), trained.eval()(x))


@pytest.mark.parametrize(("shape", "values"), [((12, 4), 2), ((12, 0, 4), 2), ((12.0, 4, 4), 2), ((12, 4, 4), 1)])
def test_an_impossible_shape_or_number_of_values_is_refused(shape: tuple[int, int, int], values: int) -> None:
    with pytest.raises(BranchError, match=r"feature shape must be|at least two values"):
        Branch(SPACE.random(np.random.default_rng(0)), shape, values)


def test_an_illegal_architecture_is_refused() -> None:
    record = SPACE.random(np.random.default_rng(0)).to_json()
    record["choices"]["node2.operation"] = "conv7x7"
    with pytest.raises(SpaceError, match=r"node2\.operation"):
        Branch(Architecture.from_json(record), (CHANNELS, 4, 4), 2)
