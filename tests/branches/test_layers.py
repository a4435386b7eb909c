import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from branches.errors import BranchError
from branches.layers import (
    ACTIVATIONS,
    OPERATIONS,
    POOLINGS,
    Head,
    activation,
    average_pool,
    bilinear_pool,
    initialise,
    node,
    operation,
    pooled_features,
    stem,
)
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


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (35, 35)])
def test_bilinear_pool_against_outer_products_in_numpy(size: tuple[int, int]) -> None:
    features = maps(3, 5, *size)
    for one, pooled in zip(features.double().numpy(), bilinear_pool(features).numpy(), strict=True):
        positions = one.reshape(5, -1).T
        matrix = np.mean([np.outer(position, position) for position in positions], axis=0).ravel()
        rooted = np.sign(matrix) * np.abs(matrix) / np.sqrt(np.abs(matrix) + 1e-3)
        np.testing.assert_allclose(pooled, rooted / np.linalg.norm(rooted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1.0, 1e8])
def test_bilinear_pool_is_finite_at_any_scale_with_its_gradient(scale: float) -> None:
    features = (maps(2, 4, 3, 3) * scale).requires_grad_()
    pooled = bilinear_pool(features)
    pooled.square().sum().backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    assert torch.isfinite(pooled).all()
    assert torch.isfinite(features.grad).all()


def test_bilinear_features_have_unit_length_at_any_width() -> None:
    for width in (2, 16, 64):
        torch.testing.assert_close(bilinear_pool(maps(3, width, 4, 4)).norm(dim=1), torch.ones(3), rtol=1e-4, atol=0)


@pytest.mark.parametrize(("channels", "scale"), [(3, 1.0), (64, 1.0), (768, 1 / 12)])
def test_many_trunk_features_are_scaled_down(channels: int, scale: float) -> None:
    assert Head("average", 4, channels, 2, shortcut=True).shortcut_scale == pytest.approx(scale)


def test_average_pool_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, -4.0]]]])
    assert average_pool(features).tolist() == [[3.0, -1.0]]


def test_poolings_are_those_of_the_search_spaces() -> None:
    assert tuple(POOLINGS) == names.POOLINGS
    with pytest.raises(BranchError, match="no head pooling 'max'; known: average, bilinear"):
        pooled_features("max", 8)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("shortcut", [False, True])
def test_the_linear_layer_reads_the_pooled_then_the_standardised_trunk_features(pooling: str, shortcut: bool) -> None:
    head = Head(pooling, 4, 128, 3, shortcut=shortcut)
    initialise(head, torch.Generator().manual_seed(0))
    pooled, trunk = maps(6, 4, 2, 2), maps(6, 128, 3, 3, seed=1)
    read = {"average": average_pool, "bilinear": bilinear_pool}[pooling](pooled)
    if shortcut:
        means = trunk.mean((2, 3))
        standardised = (means - means.mean(0)) / (means.var(0, unbiased=False) + 1e-5).sqrt()
        read = torch.cat([read, 0.5 * standardised], 1)
    expected = read @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(head(pooled, trunk), expected, rtol=1e-4, atol=1e-5)


def test_a_linear_probe_is_a_special_case_of_the_shortcut() -> None:
    trunk = maps(32, 7, 3, 3)
    means = trunk.mean((2, 3))
    probe_weight, probe_bias = maps(2, 7, seed=2), maps(2, seed=3)
    head = Head("average", 4, 7, 2, shortcut=True)
    assert head.shortcut_norm is not None
    head.shortcut_norm.running_mean, head.shortcut_norm.running_var = means.mean(0), means.var(0)
    with torch.no_grad():
        head.linear.weight.zero_()
        scaled = probe_weight * (means.var(0) + head.shortcut_norm.eps).sqrt()
        head.linear.weight[:, 4:] = scaled
        head.linear.bias.copy_(probe_bias + probe_weight @ means.mean(0))
    head.eval()
    expected = means @ probe_weight.T + probe_bias
    torch.testing.assert_close(head(maps(32, 4, 3, 3, seed=4), trunk), expected, rtol=1e-4, atol=1e-5)


def test_dropout_works_in_training_mode_only() -> None:
    head = Head("average", 400, 1, 2, shortcut=False, dropout=0.5)
    initialise(head, torch.Generator().manual_seed(0))
    features = torch.ones(2, 400, 1, 1)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        assert not torch.equal(head(features, features), head(features, features))
        head.eval()
        assert torch.equal(head(features, features), head(features, features))
