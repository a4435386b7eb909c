import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from branches.errors import BranchError
from nas.errors import SearchError
from nas.supernet.supernet import Supernet
from search_spaces import Architecture, Space, SpaceError, macro_space, micro_space
from search_spaces.operations import ACTIVATIONS, OPERATIONS
from tests.nas.shared_names import pieces

WIDTHS = (4, 8, 16)
SPACES = {
    "macro": macro_space(3, widths=WIDTHS, activations=ACTIVATIONS),
    "micro": micro_space(3, widths=WIDTHS, depths=(1, 2, 3), operations=OPERATIONS, activations=ACTIVATIONS),
}
CHANNELS = 20
SIZES = [(1, 1), (2, 2), (4, 4), (3, 5), (17, 17), (35, 35)]


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> Space:
    return SPACES[request.param]


def supernet(space: Space, size: tuple[int, int] = (4, 4), *, seed: int = 0, dropout: float = 0.0) -> Supernet:
    generator = torch.Generator().manual_seed(seed)
    return Supernet(space, (CHANNELS, *size), 3, generator=generator, dropout=dropout)


def features(count: int, size: tuple[int, int] = (4, 4), *, seed: int = 0) -> Tensor:
    return torch.randn(count, CHANNELS, *size, generator=torch.Generator().manual_seed(seed))


def architectures(space: Space, count: int, *, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [space.random(rng) for _ in range(count)]


def corner(weight: Tensor, shape: torch.Size) -> Tensor:
    return weight[tuple(slice(size) for size in shape)]


@pytest.mark.parametrize("size", SIZES)
def test_a_path_equals_the_extracted_branch_bit_for_bit_in_training_mode(space: Space, size: tuple[int, int]) -> None:
    net, x = supernet(space, size), features(3, size)
    for architecture in architectures(space, 40 if size[0] < 17 else 6):
        assert torch.equal(net(x, architecture), net.extract(architecture)(x)), architecture


def test_a_path_still_equals_its_branch_while_the_weights_are_trained(space: Space) -> None:
    net, x = supernet(space), features(8)
    labels = torch.arange(8) % 3
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for architecture in architectures(space, 20):
        optimizer.zero_grad()
        functional.cross_entropy(net(x, architecture), labels).backward()  # type: ignore[no-untyped-call]
        before = net.extract(architecture)
        optimizer.step()
        after = net.extract(architecture)
        assert torch.equal(net(x, architecture), after(x))
        assert not torch.equal(before(x), after(x))


@pytest.mark.parametrize("seed", range(12))
def test_gradients_are_those_of_the_branch_in_the_first_channels_and_zero_beyond(space: Space, seed: int) -> None:
    net, x = supernet(space), features(6)
    (architecture,) = architectures(space, 1, seed=seed)
    branch = net.extract(architecture)
    weights = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    (net(x, architecture) * weights).sum().backward()
    (branch(x) * weights).sum().backward()
    for name, parameter in branch.named_parameters():
        assert parameter.grad is not None
        if name.startswith("head"):
            continue
        for shared_name, gradient in pieces(name, parameter.grad, architecture):
            shared = net.get_parameter(shared_name).grad
            assert shared is not None
            assert torch.equal(corner(shared, gradient.shape), gradient)
            assert torch.count_nonzero(shared) == torch.count_nonzero(gradient)
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


def test_only_the_sampled_path_gets_gradients(space: Space) -> None:
    for architecture in architectures(space, 10):
        net = supernet(space)
        net(features(4), architecture).sum().backward()
        touched = {name for name, parameter in net.named_parameters() if parameter.grad is not None}
        expected = {
            shared_name
            for name, parameter in net.extract(architecture).named_parameters()
            if "head" not in name
            for shared_name, _ in pieces(name, parameter, architecture)
        }
        expected |= {f"shared.pooled.{architecture['head.pooling']}.{kind}" for kind in ("weight", "bias")}
        expected |= {"shared.shortcut.weight"} if architecture["head.shortcut"] else set()
        assert touched == expected


def test_an_extracted_branch_is_a_copy(space: Space) -> None:
    net, x = supernet(space), features(4)
    (architecture,) = architectures(space, 1)
    branch = net.extract(architecture)
    before = branch(x)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    assert torch.equal(branch(x), before)
    assert branch.training
    assert all(parameter.requires_grad for parameter in branch.parameters())


def test_running_an_architecture_leaves_no_trace_on_the_next(space: Space) -> None:
    net, x = supernet(space), features(4)
    sampled = architectures(space, 12)
    first = [net(x, architecture) for architecture in sampled]
    state = copy.deepcopy(net.state_dict())
    again = [net(x, architecture) for architecture in reversed(sampled)]
    assert all(torch.equal(one, other) for one, other in zip(first, reversed(again), strict=True))
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in state.items())


def test_batch_statistics_are_used_in_evaluation_mode_too(space: Space) -> None:
    net, x = supernet(space, dropout=0.0), features(8)
    for architecture in architectures(space, 5):
        net.train()
        trained = net(x, architecture)
        net.eval()
        assert torch.equal(net(x, architecture), trained)
        assert not torch.allclose(net(x[:4], architecture), trained[:4])


def test_dropout_works_in_training_mode_only(space: Space) -> None:
    net, x = supernet(space, dropout=0.5), features(8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for architecture in architectures(space, 5):
            net.train()
            assert not torch.equal(net(x, architecture), net(x, architecture))
            net.eval()
            assert torch.equal(net(x, architecture), net(x, architecture))
            assert net.extract(architecture).head.dropout.p == 0.5


def test_a_copy_runs_on_its_own_weights(space: Space) -> None:
    net, x = supernet(space), features(4)
    sampled = architectures(space, 6)
    before = [net(x, architecture) for architecture in sampled]
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.5).add_(0.1)
    assert all(torch.equal(twin(x, a), logits) for a, logits in zip(sampled, before, strict=True))
    assert not any(torch.equal(net(x, a), logits) for a, logits in zip(sampled, before, strict=True))


@pytest.mark.parametrize("assign", [False, True])
def test_the_state_is_all_there_is(space: Space, assign: bool) -> None:
    net, other, x = supernet(space, seed=0), supernet(space, seed=1), features(4)
    for architecture in architectures(space, 4):
        assert not torch.equal(net(x, architecture), other(x, architecture))
    other.load_state_dict(net.state_dict(), assign=assign)
    for architecture in architectures(space, 4):
        assert torch.equal(net(x, architecture), other(x, architecture))


def test_another_precision_is_taken_up(space: Space) -> None:
    net, x = supernet(space), features(4)
    (architecture,) = architectures(space, 1)
    single = net(x, architecture)
    double = net.double()(x.double(), architecture)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


def test_the_generator_alone_decides_the_weights(space: Space) -> None:
    before = torch.get_rng_state()
    first, again, other = (supernet(space, seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not any(torch.equal(value, other[name]) for name, value in first.items() if value.ndim > 1)


@pytest.mark.parametrize("small", [macro_space(2, widths=(4, 8)), micro_space(2, cells=2, widths=(4, 8))])
def test_training_random_paths_teaches_all_paths(small: Space) -> None:
    net = supernet(small)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    x = features(96)
    labels = x[:, :3].mean((2, 3)).argmax(1)  # which of three channels is brightest
    for architecture in architectures(small, 150):
        optimizer.zero_grad()
        functional.cross_entropy(net(x, architecture), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    accuracies = [float((net(x, a).argmax(1) == labels).float().mean()) for a in architectures(small, 20, seed=1)]
    assert np.mean(accuracies) > 0.7  # by chance: 0.35


@pytest.mark.parametrize(
    "bare",
    [macro_space(1, widths=(4,), shortcuts=(False,)), micro_space(1, cells=1, widths=(4,), shortcuts=(False,))],
)
def test_without_a_shortcut_there_are_no_shortcut_weights(bare: Space) -> None:
    net = supernet(bare)
    assert not any("shortcut" in name for name, _ in net.named_parameters())
    assert net(features(2), architectures(bare, 1)[0]).shape == (2, 3)


@pytest.mark.parametrize(
    "small",
    [
        macro_space(2, widths=(4, 8), depths=(1, 2)),
        micro_space(2, widths=(4, 8), depths=(2, 3), operations=("conv3x3", "max_pool3x3")),
    ],
)
def test_every_shared_weight_is_on_some_path(small: Space) -> None:
    net = supernet(small)
    for architecture in architectures(small, 150):
        net(features(2, (1, 1)), architecture).sum().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


def test_architectures_with_one_plan_share_their_path_too() -> None:
    micro = SPACES["micro"]
    net, x = supernet(micro), features(4)
    for architecture in architectures(micro, 10):
        choices = dict(architecture.choices)
        for kind in ("normal", "reduction"):
            for part in ("input", "operation"):
                a, b = f"{kind}.node3.{part}_a", f"{kind}.node3.{part}_b"
                choices[a], choices[b] = choices[b], choices[a]
        other = replace(architecture, choices=tuple(choices.items()))
        assert torch.equal(net(x, architecture), net(x, other))


def test_what_cannot_be_run_is_refused(space: Space) -> None:
    net, x = supernet(space), features(2)
    (architecture,) = architectures(space, 1)
    other = {"macro": macro_space(2, widths=WIDTHS, activations=ACTIVATIONS), "micro": micro_space(2)}[space.name]
    with pytest.raises(SpaceError, match=r"other settings: .*nodes"):
        net(x, other.random(np.random.default_rng(0)))
    wrong = replace(architecture, choices=(*architecture.choices[:-1], ("width", 5)))
    for call in (net.extract, lambda illegal: net(x, illegal)):
        with pytest.raises(SpaceError, match="decision 'width'"):
            call(wrong)
    with pytest.raises(SearchError, match="no shared weights for search space 'toy'; known: macro, micro"):
        supernet(Space("toy", {}, space.decisions))
    with pytest.raises(BranchError, match="at least two values"):
        Supernet(space, (CHANNELS, 4, 4), 1, generator=torch.Generator())
