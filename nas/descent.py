"""One gradient step of the weights that a path used; those it did not use cost nothing but a look."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def descend(loss: Tensor, weights: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer, clip: float) -> None:
    """Gradients of `loss` alone, their common norm clipped to `clip`, and one step of `optimizer`.

    The same numbers as `zero_grad`, `backward`, `clip_grad_norm_` and `step` over all `weights`, in less time;
    `optimizer` must pass over those that have no gradient, as torch's do.
    """
    for weight in weights:
        weight.grad = None
    loss.backward()  # type: ignore[no-untyped-call]
    used = [weight for weight in weights if weight.grad is not None]
    nn.utils.clip_grad_norm_(used, clip)
    optimizer.step()
