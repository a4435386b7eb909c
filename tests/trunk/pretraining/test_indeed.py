import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trunk.errors import TrunkError
from trunk.pretraining.indeed import (
    binary_cross_entropy,
    draw_pairs,
    identical_map,
    indeed_loss,
    six_features,
    six_labels,
)
from trunk.pretraining.settings import IndeedSettings

F_A = torch.tensor([[1.0, 2.0, 0.0], [3.0, 1.0, 2.0]])
F_B = torch.tensor([[2.0, 1.0, 3.0], [1.0, 0.0, 2.0]])  # element-wise products: (2, 2, 0), (3, 0, 4)
PAIRS = torch.tensor([[0, 1]])


def logistic_loss(logit: float, label: int) -> float:
    """Binary cross entropy, written out."""
    probability = 1 / (1 + math.exp(-logit))
    return -(label * math.log(probability) + (1 - label) * math.log(1 - probability))


def test_l2_map_is_the_product_over_its_norm() -> None:
    expected = torch.tensor([[2 / 8**0.5, 2 / 8**0.5, 0.0], [0.6, 0.0, 0.8]])
    torch.testing.assert_close(identical_map(F_A, F_B, "l2"), expected)


def test_minmax_map_reaches_from_zero_to_one() -> None:
    expected = torch.tensor([[1.0, 1.0, 0.0], [0.75, 0.0, 1.0]])
    torch.testing.assert_close(identical_map(F_A, F_B, "minmax"), expected)


@pytest.mark.parametrize("normalisation", ["l2", "minmax"])
def test_maps_lie_between_zero_and_one_whatever_the_scale(normalisation: str) -> None:
    generator = torch.Generator().manual_seed(0)
    f_a, f_b = torch.rand(20, 30, generator=generator), torch.rand(20, 30, generator=generator)
    m = identical_map(f_a, f_b, normalisation)
    assert m.min() >= 0
    assert m.max() <= 1
    torch.testing.assert_close(identical_map(100 * f_a, f_b, normalisation), m)


@pytest.mark.parametrize("normalisation", ["l2", "minmax"])
def test_features_with_nothing_in_common_have_an_empty_map_and_finite_gradients(normalisation: str) -> None:
    f_a = torch.tensor([[1.0, 0.0], [0.0, 0.0]], requires_grad=True)
    f_b = torch.tensor([[0.0, 2.0], [0.0, 0.0]], requires_grad=True)
    six = six_features(f_a, f_b, normalisation)
    assert torch.equal(six.a_and_b, torch.zeros(2, 2))
    assert torch.equal(six.a_minus_b, f_a)
    torch.cat(six).sum().backward()
    assert f_a.grad is not None
    assert f_b.grad is not None
    torch.testing.assert_close(f_a.grad, torch.full((2, 2), 2.0))  # from f_a itself and from f_a - f_b
    torch.testing.assert_close(f_b.grad, torch.full((2, 2), 2.0))


def test_the_six_features_are_worked_out_as_in_the_paper() -> None:
    six = six_features(F_A[1:], F_B[1:], "minmax")  # m = (0.75, 0, 1)
    expected = [[3, 1, 2], [1, 0, 2], [2.25, 0, 2], [0.75, 0, 2], [0.75, 1, 0], [0.25, 0, 0]]
    torch.testing.assert_close(torch.cat(six), torch.tensor(expected))


def test_the_parts_add_up_to_the_whole() -> None:
    six = six_features(F_A, F_B, "l2")
    torch.testing.assert_close(six.a_and_b + six.a_minus_b, F_A)
    torch.testing.assert_close(six.b_and_a + six.b_minus_a, F_B)


def test_the_six_labels_are_intersection_and_differences() -> None:
    y_a, y_b = torch.tensor([[1, 1, 0, 0]]), torch.tensor([[1, 0, 1, 0]])
    assert torch.cat(six_labels(y_a, y_b)).tolist() == [
        [1, 1, 0, 0],
        [1, 0, 1, 0],
        [1, 0, 0, 0],
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
    ]


def test_unknown_labels_stay_open_only_where_they_decide() -> None:
    y_a, y_b = torch.tensor([[1, 0, -1, -1, -1]]), torch.tensor([[-1, -1, 1, 0, -1]])
    six = six_labels(y_a, y_b)
    assert six.a_and_b.tolist() == six.b_and_a.tolist() == [[-1, 0, -1, 0, -1]]
    assert six.a_minus_b.tolist() == [[-1, 0, 0, -1, -1]]
    assert six.b_minus_a.tolist() == [[0, -1, -1, 0, -1]]


def test_every_way_of_filling_in_unknown_labels_agrees_with_what_is_decided() -> None:
    values = torch.tensor([-1, 0, 1])
    y_a, y_b = torch.cartesian_prod(values, values).T[:, None]
    found = six_labels(y_a, y_b)
    for known in values[1:].tolist():
        for other in values[1:].tolist():
            filled = six_labels(torch.where(y_a < 0, known, y_a), torch.where(y_b < 0, other, y_b))
            for open_or_not, decided in zip(found, filled, strict=True):
                assert torch.equal(open_or_not[open_or_not >= 0], decided[open_or_not >= 0])


def test_binary_cross_entropy_has_the_right_signs_and_skips_unknown_labels() -> None:
    logits, labels = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[1, 0, -1]])
    expected = (logistic_loss(2.0, 1) + logistic_loss(-1.0, 0)) / 2
    assert binary_cross_entropy(logits, labels).item() == pytest.approx(expected)
    assert expected < 0.25  # a confident, right answer costs little: the slips in the paper would make it cost much
    assert binary_cross_entropy(logits, torch.full((1, 3), -1)).item() == 0


def test_the_loss_of_one_pair_is_worked_out_by_hand() -> None:
    """f = (3, 1, 2), (1, 0, 2) with m = (0.75, 0, 1); the classifier hands the first two elements on as logits."""
    features, labels = torch.cat([F_A[1:], F_B[1:]]), torch.tensor([[1, 1], [1, 0]])
    original = (logistic_loss(3, 1) + logistic_loss(1, 1)) / 2 + (logistic_loss(1, 1) + logistic_loss(0, 0)) / 2
    identical = (logistic_loss(2.25, 1) + logistic_loss(0, 0)) / 2 + (logistic_loss(0.75, 1) + logistic_loss(0, 0)) / 2
    disparate = (logistic_loss(0.75, 0) + logistic_loss(1, 1)) / 2 + (logistic_loss(0.25, 0) + logistic_loss(0, 0)) / 2

    def loss(weight: float, blocks: str) -> float:
        settings = IndeedSettings("minmax", weight, blocks)
        return indeed_loss(features, labels, PAIRS, lambda f: f[:, :2], settings).item()

    assert loss(0.5, "both") == pytest.approx(original + 0.5 * (identical + disparate))
    assert loss(2.0, "identical") == pytest.approx(original + 2 * identical)
    assert loss(2.0, "disparate") == pytest.approx(original + 2 * disparate)
    assert loss(0.0, "both") == pytest.approx(original)


def test_a_default_pair_is_all_identical_in_label() -> None:
    features, labels = F_A[1:], torch.tensor([[1, 0]])
    m = identical_map(features, features, "minmax")  # products (9, 1, 4): m = (1, 0, 0.375)
    torch.testing.assert_close(m, torch.tensor([[1.0, 0.0, 0.375]]))
    whole = (logistic_loss(3, 1) + logistic_loss(1, 0)) / 2
    identical = (logistic_loss(3, 1) + logistic_loss(0, 0)) / 2
    disparate = (logistic_loss(0, 0) + logistic_loss(1, 0)) / 2
    found = indeed_loss(features, labels, torch.tensor([[0, 0]]), lambda f: f[:, :2], IndeedSettings())
    assert found.item() == pytest.approx(2 * (whole + identical + disparate))


def test_one_classifier_is_called_once_with_all_features() -> None:
    calls = []

    def classify(features: Tensor) -> Tensor:
        calls.append(len(features))
        return features

    labels = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]])
    pairs = torch.tensor([[0, 1], [2, 3]])
    indeed_loss(torch.cat([F_A, F_B]), labels, pairs, classify, IndeedSettings())
    indeed_loss(torch.cat([F_A, F_B]), labels, pairs, classify, IndeedSettings(blocks="identical"))
    assert calls == [12, 8]


@pytest.mark.parametrize("normalisation", ["l2", "minmax"])
@pytest.mark.parametrize("blocks", ["identical", "disparate"])
def test_each_block_sends_gradients_to_a_backbone_of_any_kind(normalisation: str, blocks: str) -> None:
    generator = torch.Generator().manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU())
    classifier = nn.Linear(5, 3)
    images = torch.rand(6, 3, 2, 2, generator=generator)
    labels = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
    pairs = torch.from_numpy(draw_pairs(labels.numpy(), np.random.default_rng(0)))

    def gradients(weight: float) -> list[Tensor]:
        loss = indeed_loss(backbone(images), labels, pairs, classifier, IndeedSettings(normalisation, weight, blocks))
        return list(torch.autograd.grad(loss, [*backbone.parameters(), *classifier.parameters()]))

    for with_block, without in zip(gradients(1.0), gradients(0.0), strict=True):
        assert torch.isfinite(with_block).all()
        assert not torch.allclose(with_block, without)


def test_the_map_itself_carries_gradients() -> None:
    f_a, f_b = (F_A + 1).double().requires_grad_(), (F_B + 1).double().requires_grad_()
    for normalisation in ("l2", "minmax"):
        assert torch.autograd.gradcheck(lambda a, b, n=normalisation: identical_map(a, b, n), (f_a, f_b))


def test_unusable_settings_are_refused() -> None:
    with pytest.raises(TrunkError, match="normalisation must be one of minmax, l2, is 'max'"):
        IndeedSettings("max")
    with pytest.raises(TrunkError, match="blocks must be one of both, identical, disparate, is 'none'"):
        IndeedSettings(blocks="none")
    with pytest.raises(TrunkError, match="weight must be at least 0, is -1"):
        IndeedSettings(weight=-1)
