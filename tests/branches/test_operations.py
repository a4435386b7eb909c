import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from branches.errors import BranchError
from branches.operations import ACTIVATIONS, OPERATIONS, activation, initialise, node, operation, stem
from search_spaces import operations as names

WIDTH = 6


def windows(maps: Tensor, size: int, fill: float) -> Tensor:
    """(N, C, H, W) -> (N, C, size * size, H, W): the neighbourhood of every position."""
    reach = size // 2
    padded = functional.pad(maps, (reach,) * 4, value=fill)
    height, width = maps.shape[2:]
    shifts = [padded[:, :, i : i + height, j : j + width] for i in range(size) for j in range(size)]
    return torch.stack(shifts, 2)


def reference(name: str, module: nn.Module, maps: Tensor) -> Tensor:
    weights = list(module.parameters())
    if name.startswith("conv"):
        (weight,) = weights
        return torch.einsum("nckhw,ock->nohw", windows(maps, weight.shape[2], 0.0), weight.flatten(2))
    if name.startswith("separable"):
        depthwise, pointwise = weights
        filtered = torch.einsum("nckhw,ck->nchw", windows(maps, depthwise.shape[2], 0.0), depthwise.flatten(1))
        return torch.einsum("nchw,oc->nohw", filtered, pointwise.flatten(1))
    near = windows(maps, 3, torch.nan)
    if name == "average_pool3x3":
        return near.nanmean(2)
    if name == "identity":
        return maps
    assert name == "max_pool3x3"
    return near.nan_to_num(nan=-torch.inf).amax(2)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (3, 1), (4, 4), (17, 17), (35, 35)])
@pytest.mark.parametrize("name", names.OPERATIONS)
@pytest.mark.parametrize("stride", [1, 2])
def test_operation_computes_what_its_name_says_at_every_size(name: str, size: tuple[int, int], stride: int) -> None:
    generator = torch.Generator().manual_seed(0)
    module = operation(name, WIDTH, stride)
    initialise(module, generator)
    maps = torch.randn(2, WIDTH, *size, generator=generator)
    result = module.double()(maps.double())
    assert result.shape == (2, WIDTH, *((side + stride - 1) // stride for side in size))
    expected = reference(name, module, maps.double())[:, :, ::stride, ::stride]
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # at -2 and 1, by hand
        ("relu", (0.0, 1.0)),
        ("silu", (-2 / (1 + 2.718281828459045**2), 1 / (1 + 2.718281828459045**-1))),
        ("hard_swish", (-2 * 1 / 6, 1 * 4 / 6)),
        ("leaky_relu", (-0.2, 1.0)),
        ("gelu", (-2 * 0.022750131948179, 0.841344746068543)),
        ("tanh", (-0.964027580075817, 0.761594155955765)),
    ],
)
def test_activation_by_hand(name: str, expected: tuple[float, float]) -> None:
    values = torch.tensor([-2.0, 1.0], dtype=torch.float64)
    kept = values.clone()
    torch.testing.assert_close(activation(name)(values), torch.tensor(expected, dtype=torch.float64))
    assert torch.equal(values, kept)


def test_every_name_of_the_search_spaces_has_its_module_and_no_other() -> None:
    assert tuple(OPERATIONS) == names.OPERATIONS
    assert tuple(ACTIVATIONS) == names.ACTIVATIONS


def test_unknown_names_are_refused() -> None:
    with pytest.raises(BranchError, match="no operation 'conv7x7'; known: conv3x3"):
        operation("conv7x7", WIDTH)
    with pytest.raises(BranchError, match="no activation 'step'; known: relu"):
        activation("step")


def test_node_is_operation_norm_activation() -> None:
    generator = torch.Generator().manual_seed(0)
    module = node("conv3x3", "silu", WIDTH)
    initialise(module, generator)
    maps = torch.randn(4, WIDTH, 3, 3, generator=generator)
    convolved = functional.conv2d(maps, next(module.parameters()), padding=1)
    mean = convolved.mean((0, 2, 3), keepdim=True)
    scaled = (convolved - mean) / (convolved.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(module(maps), scaled * scaled.sigmoid(), rtol=1e-4, atol=1e-5)


def test_initialise_draws_all_weights_from_the_generator_alone() -> None:
    first, again, other = (nn.Sequential(stem(40, 30), nn.Linear(30, 2)) for _ in range(3))
    before = torch.get_rng_state()
    for module, seed in ((first, 1), (again, 1), (other, 2)):
        initialise(module, torch.Generator().manual_seed(seed))
    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in first.named_parameters():
        assert torch.equal(weight, again.get_parameter(name))
        assert torch.equal(weight, other.get_parameter(name)) == (weight.ndim == 1)
    # 1200 draws of variance 2 / 40: their standard deviation lies within 5 standard errors
    assert float(first.get_parameter("0.convolution.weight").detach().std()) == pytest.approx(
        (2 / 40) ** 0.5, rel=5 / 2400**0.5
    )
