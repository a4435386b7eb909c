"""Losses over many labels at once, with unknown labels left out.

Each takes logits (B, L) and states (B, L) (1 present, 0 absent, -1 unknown) and gives one number: the mean over the
known entries, so that images with few known labels weigh by these, and losses are of one scale whatever L is. Where
nothing is known the loss is 0, and so is its gradient.
"""

from collections.abc import Callable
from functools import partial

import torch
from timm.loss.asymmetric_loss import AsymmetricLossMultiLabel
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from label_graph.errors import LabelGraphError
from subdatasets.labels.table import PRESENT, UNKNOWN

Loss = Callable[[Tensor, Tensor], Tensor]


def asymmetric(
    logits: Tensor, states: Tensor, *, gamma_negative: float = 4.0, gamma_positive: float = 1.0, clip: float = 0.05
) -> Tensor:
    """Asymmetric loss, timm's: easy negatives weigh little, very easy ones nothing.

    Asymmetric Loss for Multi-Label Classification (Ridnik et al. 2021), arXiv:2009.14119, eq. 7. IML-GCN's loss.

    Args:
        logits: float (B, L).
        states: (B, L), 1, 0 or -1.
        gamma_negative: exponent that damps easy negatives.
        gamma_positive: exponent that damps easy positives.
        clip: probability taken off the negatives' before their loss, 0 to 1.
    """
    scores, targets, count = _known(logits, states)
    loss = AsymmetricLossMultiLabel(gamma_neg=gamma_negative, gamma_pos=gamma_positive, clip=clip)
    total: Tensor = loss(scores[None], targets[None])  # one row: timm's sum over labels, in each of its versions
    return total / count


def bce(logits: Tensor, states: Tensor) -> Tensor:
    """Binary cross-entropy: logits (B, L), states (B, L)."""
    scores, targets, count = _known(logits, states)
    return binary_cross_entropy_with_logits(scores, targets, reduction="sum") / count


def focal(logits: Tensor, states: Tensor, *, gamma: float = 2.0, alpha: float | None = None) -> Tensor:
    """Focal loss, ``-(1 - p_t)^gamma log p_t``, logits (B, L), states (B, L).

    Focal Loss for Dense Object Detection (Lin et al. 2017), arXiv:1708.02002, eq. 5.

    Args:
        gamma: exponent that damps easy entries; 0 gives :func:`bce`.
        alpha: weight of the positives, 1 - alpha that of the negatives; None: 1 for both.
    """
    scores, targets, count = _known(logits, states)
    signed = scores * (2 * targets - 1)  # p_t = sigmoid(signed)
    entries = torch.sigmoid(-signed) ** gamma * softplus(-signed)
    if alpha is not None:
        entries = entries * torch.where(targets > 0, alpha, 1 - alpha)
    return entries.sum() / count


def weighted_bce(logits: Tensor, states: Tensor, *, rates: Tensor) -> Tensor:
    """Cross-entropy that weighs rare positives up: ``exp(1 - r)`` for a positive, ``exp(r)`` for a negative.

    Multi-attribute Learning for Pedestrian Attribute Recognition (Li et al. 2015), eq. 5, with sigma 1.

    Args:
        logits: float (B, L).
        states: (B, L), 1, 0 or -1.
        rates: (L,), the share of positives in training (:func:`positive_rates`).
    """
    positive, negative = torch.exp(1 - rates), torch.exp(rates)
    weights = torch.where(states == PRESENT, positive, negative)[states != UNKNOWN]
    scores, targets, count = _known(logits, states)
    return binary_cross_entropy_with_logits(scores, targets, weights.to(scores), reduction="sum") / count


def positive_rates(states: Tensor) -> Tensor:
    """(L,) float32: the share of positives among the known entries of each label; 0.5 where nothing is known."""
    known = (states != UNKNOWN).sum(dim=0)
    present = (states == PRESENT).sum(dim=0)
    return torch.where(known > 0, present / known.clamp(min=1), torch.full_like(present, 0.5, dtype=torch.float32))


LOSSES: dict[str, Callable[..., Tensor]] = {
    "asymmetric": asymmetric,
    "bce": bce,
    "focal": focal,
    "weighted": weighted_bce,
}


def loss_named(name: str, **settings: float | Tensor | None) -> Loss:
    """A loss by its name in :data:`LOSSES`, with its settings filled in.

    Raises:
        LabelGraphError: no loss of that name.
    """
    if name not in LOSSES:
        raise LabelGraphError(f"there is no loss '{name}': use one of {', '.join(LOSSES)}")
    return partial(LOSSES[name], **settings)


def _known(logits: Tensor, states: Tensor) -> tuple[Tensor, Tensor, int]:
    """Scores and targets (0 or 1) of the known entries, both (K,), and K or at least 1.

    Raises:
        LabelGraphError: logits and states of two shapes.
    """
    if logits.shape != states.shape:
        raise LabelGraphError(
            f"logits {tuple(logits.shape)} and label states {tuple(states.shape)} must have one shape"
        )
    known = states != UNKNOWN
    scores = logits[known].float()
    return scores, (states[known] == PRESENT).to(scores), max(1, len(scores))
