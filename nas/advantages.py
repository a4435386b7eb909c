"""How much better than expected each reward is: the factor of its log-probability's gradient."""

import torch
from torch import Tensor

from nas.errors import SearchError
from nas.recipes import ADVANTAGES


def advantages(rewards: Tensor, baseline: float, kind: str) -> Tensor:
    """Advantages (n,) of `rewards` (n,), in float64.

    "baseline": reward - baseline (ENAS). "normalised": (reward - mean) / standard deviation of these rewards.
    "rank": the share of the others it beats less the share that beats it, in [-1, 1]; ties count for neither. The last
    two do not depend on the reward's scale, sum to zero, and give a single reward nothing to learn from.
    Raises SearchError for another kind.
    """
    rewards = rewards.double()
    if kind == "baseline":
        return rewards - baseline
    if kind == "normalised":
        centred = rewards - rewards.mean()
        # Equal rewards differ by rounding alone: dividing by that would make noise of nothing.
        deviation = float(centred.square().mean().sqrt())
        return centred / deviation if deviation > 1e-12 * float(rewards.abs().max()) else torch.zeros_like(centred)
    if kind == "rank":
        return torch.sign(rewards[:, None] - rewards).sum(1) / max(1, len(rewards) - 1)
    raise SearchError(f"advantage must be one of {', '.join(ADVANTAGES)}, not {kind!r}.")
