import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from branches.errors import BranchError
from nas.errors import SearchError
from nas.supernet import Supernet
from search_spaces import Architecture, Space, SpaceError, macro_space
from search_spaces.operations import ACTIVATIONS

SPACE = macro_space(3, widths=(4, 8, 16), activations=ACTIVATIONS)
CHANNELS = 20
SIZES = [(1, 1), (2, 2), (4, 4), (3, 5), (17, 17), (35, 35)]


def supernet(size: tuple[int, int] = (4, 4), *, seed: int = 0, space: Space = SPACE, dropout: float = 0.0) -> Supernet:
    generator = torch.Generator().manual_seed(seed)
    return Supernet(space, (CHANNELS, *size), 3, generator=generator, dropout=dropout)


def features(count: int, size: tuple[int, int] = (4, 4), *, seed: int = 0) -> Tensor:
    return torch.randn(count, CHANNELS, *size, generator=torch.Generator().manual_seed(seed))


def architectures(count: int, *, seed: int = 0, space: Space = SPACE) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [space.random(rng) for _ in range(count)]


def corner(weight: Tensor, shape: torch.Size) -> Tensor:
    return weight[tuple(slice(size) for size in shape)]


def shared_name(name: str, architecture: Architecture) -> str:
    """Where a branch's stem or node parameter lives in the supernet."""
    name = name.replace(".norm.", f".norm.{architecture['width']}.")
    if name.startswith("nodes."):
        _, index, rest = name.split(".", 2)
        name = f"nodes.{index}.{architecture[f'node{int(index) + 1}.operation']}.{rest}"
    return f"shared.{name}"


@pytest.mark.parametrize("size", SIZES)
def test_a_path_equals_the_extracted_branch_bit_for_bit_in_training_mode(size: tuple[int, int]) -> None:
    net, x = supernet(size), features(3, size)
    for architecture in architectures(40 if size[0] < 17 else 6):
        assert torch.equal(net(x, architecture), net.extract(architecture)(x)), architecture


def test_a_path_still_equals_its_branch_while_the_weights_are_trained() -> None:
    net, x = supernet(), features(8)
    labels = torch.arange(8) % 3
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for architecture in architectures(20):
        optimizer.zero_grad()
        functional.cross_entropy(net(x, architecture), labels).backward()  # type: ignore[no-untyped-call]
        before = net.extract(architecture)
        optimizer.step()
        after = net.extract(architecture)
        assert torch.equal(net(x, architecture), after(x))
        assert not torch.equal(before(x), after(x))


@pytest.mark.parametrize("architecture", architectures(12, seed=1))
def test_gradients_are_those_of_the_branch_in_the_first_channels_and_zero_beyond(architecture: Architecture) -> None:
    net, x = supernet(), features(6)
    branch = net.extract(architecture)
    weights = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    (net(x, architecture) * weights).sum().backward()
    (branch(x) * weights).sum().backward()
    for name, parameter in branch.named_parameters():
        assert parameter.grad is not None
        if name.startswith("head"):
            continue
        shared = net.get_parameter(shared_name(name, architecture)).grad
        assert shared is not None
        assert torch.equal(corner(shared, parameter.shape), parameter.grad)
        assert torch.count_nonzero(shared) == torch.count_nonzero(parameter.grad)
    pooled = net.get_parameter(f"shared.pooled.{architecture['head.pooling']}.weight").grad
    branch_grad = branch.head.linear.weight.grad
    assert pooled is not None
    assert branch_grad is not None
    width = int(architecture["width"])
    inputs = width * width if architecture["head.pooling"] == "bilinear" else width
    if architecture["head.pooling"] == "bilinear":
        assert torch.equal(pooled.view(3, 16, 16)[:, :width, :width].flatten(1), branch_grad[:, :inputs])
    else:
        assert torch.equal(pooled[:, :width], branch_grad[:, :inputs])
    assert torch.count_nonzero(pooled) == torch.count_nonzero(branch_grad[:, :inputs])
    shortcut = net.get_parameter("shared.shortcut.weight").grad
    assert (shortcut is not None) == architecture["head.shortcut"]
    assert shortcut is None or torch.equal(shortcut, branch_grad[:, inputs:])


def test_only_the_sampled_path_gets_gradients() -> None:
    for architecture in architectures(10):
        net = supernet()
        net(features(4), architecture).sum().backward()
        touched = {name for name, parameter in net.named_parameters() if parameter.grad is not None}
        branch = net.extract(architecture)
        expected = {shared_name(name, architecture) for name, _ in branch.named_parameters() if "head" not in name}
        expected |= {f"shared.pooled.{architecture['head.pooling']}.{kind}" for kind in ("weight", "bias")}
        expected |= {"shared.shortcut.weight"} if architecture["head.shortcut"] else set()
        assert touched == expected


def test_an_extracted_branch_is_a_copy() -> None:
    net, x = supernet(), features(4)
    (architecture,) = architectures(1)
    branch = net.extract(architecture)
    before = branch(x)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    assert torch.equal(branch(x), before)
    assert branch.training
    assert all(parameter.requires_grad for parameter in branch.parameters())


def test_running_an_architecture_leaves_no_trace_on_the_next() -> None:
    net, x = supernet(), features(4)
    sampled = architectures(12)
    first = [net(x, architecture) for architecture in sampled]
    state = copy.deepcopy(net.state_dict())
    again = [net(x, architecture) for architecture in reversed(sampled)]
    assert all(torch.equal(one, other) for one, other in zip(first, reversed(again), strict=True))
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in state.items())


def test_batch_statistics_are_used_in_evaluation_mode_too() -> None:
    net, x = supernet(dropout=0.0), features(8)
    for architecture in architectures(5):
        net.train()
        trained = net(x, architecture)
        net.eval()
        assert torch.equal(net(x, architecture), trained)
        assert not torch.allclose(net(x[:4], architecture), trained[:4])


def test_dropout_works_in_training_mode_only() -> None:
    net, x = supernet(dropout=0.5), features(8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for architecture in architectures(5):
            net.train()
            assert not torch.equal(net(x, architecture), net(x, architecture))
            net.eval()
            assert torch.equal(net(x, architecture), net(x, architecture))
            assert net.extract(architecture).head.dropout.p == 0.5


def test_a_copy_runs_on_its_own_weights() -> None:
    net, x = supernet(), features(4)
    sampled = architectures(6)
    before = [net(x, architecture) for architecture in sampled]
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.5).add_(0.1)
    assert all(torch.equal(twin(x, a), logits) for a, logits in zip(sampled, before, strict=True))
    assert not any(torch.equal(net(x, a), logits) for a, logits in zip(sampled, before, strict=True))


@pytest.mark.parametrize("assign", [False, True])
def test_the_state_is_all_there_is(assign: bool) -> None:
    net, other, x = supernet(seed=0), supernet(seed=1), features(4)
    for architecture in architectures(4):
        assert not torch.equal(net(x, architecture), other(x, architecture))
    other.load_state_dict(net.state_dict(), assign=assign)
    for architecture in architectures(4):
        assert torch.equal(net(x, architecture), other(x, architecture))


def test_another_precision_is_taken_up() -> None:
    net, x = supernet(), features(4)
    (architecture,) = architectures(1)
    single = net(x, architecture)
    double = net.double()(x.double(), architecture)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


def test_the_generator_alone_decides_the_weights() -> None:
    before = torch.get_rng_state()
    first, again, other = (supernet(seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not any(torch.equal(value, other[name]) for name, value in first.items() if value.ndim > 1)


def test_training_random_paths_teaches_all_paths() -> None:
    space = macro_space(2, widths=(4, 8))
    net = supernet(space=space)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    x = features(96)
    labels = x[:, :3].mean((2, 3)).argmax(1)  # which of three channels is brightest
    for architecture in architectures(150, space=space):
        optimizer.zero_grad()
        functional.cross_entropy(net(x, architecture), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    accuracies = [float((net(x, a).argmax(1) == labels).float().mean()) for a in architectures(20, seed=1, space=space)]
    assert np.mean(accuracies) > 0.7  # by chance: 0.35


def test_without_a_shortcut_there_are_no_shortcut_weights() -> None:
    space = macro_space(1, widths=(4,), shortcuts=(False,))
    net = supernet(space=space)
    assert not any("shortcut" in name for name, _ in net.named_parameters())
    assert net(features(2), architectures(1, space=space)[0]).shape == (2, 3)


def test_what_cannot_be_run_is_refused() -> None:
    net, x = supernet(), features(2)
    (architecture,) = architectures(1)
    with pytest.raises(SpaceError, match="other settings: nodes"):
        net(x, macro_space(2, widths=(4, 8, 16), activations=ACTIVATIONS).random(np.random.default_rng(0)))
    wrong = replace(architecture, choices=(*architecture.choices[:-1], ("width", 5)))
    for call in (net.extract, lambda illegal: net(x, illegal)):
        with pytest.raises(SpaceError, match="decision 'width'"):
            call(wrong)
    with pytest.raises(SearchError, match="no shared weights for search space 'toy'; known: macro"):
        supernet(space=Space("toy", {}, SPACE.decisions))
    with pytest.raises(BranchError, match="at least two values"):
        Supernet(SPACE, (CHANNELS, 4, 4), 1, generator=torch.Generator())
