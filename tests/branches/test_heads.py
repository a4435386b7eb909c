import numpy as np
import pytest
import torch

from branches.errors import BranchError
from branches.heads import POOLINGS, Head, average_pool, bilinear_pool, pooled_features
from branches.operations import initialise
from search_spaces import operations as names


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
