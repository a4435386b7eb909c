"""Masked losses against timm's, torch's and torchvision's own, and against numbers worked by hand."""

import math

import pytest
import torch
from timm.loss.asymmetric_loss import AsymmetricLossMultiLabel
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import sigmoid_focal_loss

from label_graph.errors import LabelGraphError
from label_graph.losses import LOSSES, Loss, asymmetric, bce, focal, loss_named, positive_rates, weighted_bce

RATES = torch.tensor([0.1, 0.5, 0.9])
SETTINGS: dict[str, dict[str, Tensor]] = {"weighted": {"rates": RATES}}
EVERY = [pytest.param(loss_named(name, **SETTINGS.get(name, {})), id=name) for name in LOSSES]


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) * 2


@pytest.fixture
def states() -> Tensor:
    return torch.tensor([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 0], [1, 0, 0]])


def test_asymmetric_by_hand() -> None:
    # Probabilities 0.8 (present) and 0.25 (absent): 0.2 * ln(1/0.8), and 0.2^4 * ln(1/0.8) after 0.05 is taken off.
    logits = torch.logit(torch.tensor([[0.8, 0.25]]))
    expected = (0.2 * -math.log(0.8) + 0.2**4 * -math.log(0.8)) / 2
    assert asymmetric(logits, torch.tensor([[1, 0]])).item() == pytest.approx(expected, rel=1e-5)


def test_asymmetric_is_timms(logits: Tensor, states: Tensor) -> None:
    loss = AsymmetricLossMultiLabel(gamma_neg=3, gamma_pos=2, clip=0.1)
    expected = sum(loss(row[None], state[None]) for row, state in zip(logits, states, strict=True)) / 15
    ours = asymmetric(logits, states, gamma_negative=3, gamma_positive=2, clip=0.1)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-5)


def test_asymmetric_without_its_settings_is_cross_entropy(logits: Tensor, states: Tensor) -> None:
    plain = asymmetric(logits, states, gamma_negative=0, gamma_positive=0, clip=0)
    assert plain.item() == pytest.approx(bce(logits, states).item(), rel=1e-5)


def test_cross_entropy_is_torchs(logits: Tensor, states: Tensor) -> None:
    assert bce(logits, states).item() == pytest.approx(binary_cross_entropy_with_logits(logits, states.float()).item())


def test_focal_by_hand() -> None:
    # p_t is 0.9 and 0.6: 0.01 * ln(1/0.9) and 0.16 * ln(1/0.6).
    logits = torch.logit(torch.tensor([[0.9, 0.4]]))
    expected = (0.01 * -math.log(0.9) + 0.16 * -math.log(0.6)) / 2
    assert focal(logits, torch.tensor([[1, 0]])).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_is_torchvisions(logits: Tensor, states: Tensor, alpha: float | None) -> None:
    theirs = sigmoid_focal_loss(logits, states.float(), -1 if alpha is None else alpha, 1.5, "mean")
    assert focal(logits, states, gamma=1.5, alpha=alpha).item() == pytest.approx(theirs.item(), rel=1e-5)


def test_weights_by_hand() -> None:
    rates = torch.tensor([0.25, 0.75])
    logits = torch.logit(torch.tensor([[0.5, 0.2]]))
    expected = (math.exp(0.75) * -math.log(0.5) + math.exp(0.75) * -math.log(0.8)) / 2
    assert weighted_bce(logits, torch.tensor([[1, 0]]), rates=rates).item() == pytest.approx(expected, rel=1e-5)


def test_rates_are_of_known_entries() -> None:
    states = torch.tensor([[1, -1, 0], [-1, -1, 1], [0, -1, 1], [0, -1, 1]])
    assert positive_rates(states).tolist() == pytest.approx([1 / 3, 0.5, 0.75])


@pytest.mark.parametrize("loss", EVERY)
def test_what_is_unknown_changes_nothing(loss: Loss, logits: Tensor, states: Tensor) -> None:
    states[0, 1] = states[3, 2] = -1
    logits = logits.requires_grad_()
    value = loss(logits, states)
    (gradient,) = torch.autograd.grad(value, logits)
    assert gradient[0, 1] == gradient[3, 2] == 0
    assert ((gradient != 0).sum(dim=1) >= 1).all()
    other = logits.detach().clone()
    other[0, 1], other[3, 2] = 50, -50
    assert loss(other, states).item() == pytest.approx(value.item())


@pytest.mark.parametrize("loss", EVERY)
def test_where_nothing_is_known_the_loss_is_zero(loss: Loss, logits: Tensor) -> None:
    logits = logits.requires_grad_()
    value = loss(logits, torch.full((5, 3), -1))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("loss", EVERY)
@pytest.mark.parametrize("size", [60.0, 500.0])
def test_extreme_logits_give_finite_losses_and_gradients(loss: Loss, size: float) -> None:
    logits = torch.tensor([[size, -size, size]], requires_grad=True)
    value = loss(logits, torch.tensor([[0, 1, 1]]))
    value.backward()
    assert torch.isfinite(value)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", EVERY)
def test_training_by_it_tells_labels_apart(loss: Loss, states: Tensor) -> None:
    logits = torch.zeros(5, 3, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        loss(logits, states).backward()
        optimiser.step()
    assert logits[states == 1].min() > logits[states == 0].max()


def test_mistakes_are_named(logits: Tensor) -> None:
    with pytest.raises(LabelGraphError, match="there is no loss 'hinge': use one of asymmetric, bce, focal, weighted"):
        loss_named("hinge")
    with pytest.raises(LabelGraphError, match=r"logits \(5, 3\) and label states \(3,\)"):
        bce(logits, torch.tensor([1, 0, 1]))
