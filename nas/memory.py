"""The best architectures met so far, which take part in later updates.

As in self-imitation learning (Oh et al., 2018), arXiv:1806.05635, and the cross-entropy method: what was good once
keeps its weight until enough better ones are found. An architecture's reward is the one it got last, so that rewards
measured on shared weights grow with them.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Remembered(NamedTuple):
    """m architectures and their rewards, best first."""

    choices: Tensor  # (m, D) int64
    rewards: Tensor  # (m,) float64


class Memory:
    """At most `capacity` different architectures of `decisions` decisions; a capacity of 0 remembers nothing."""

    def __init__(self, capacity: int, decisions: int) -> None:
        self.capacity = capacity
        self.choices = torch.zeros(0, decisions, dtype=torch.int64)
        self.rewards = torch.zeros(0, dtype=torch.float64)

    def without(self, choices: Tensor) -> Remembered:
        """What is remembered, except the architectures that are among `choices` (n, D)."""
        new = ~(self.choices[:, None] == choices[None]).all(-1).any(1)
        return Remembered(self.choices[new], self.rewards[new])

    def add(self, choices: Tensor, rewards: Tensor) -> None:
        """Take in `choices` (n, D) with their `rewards` (n,), and keep the best; of equals the older."""
        if not self.capacity:
            return
        found = dict(zip(map(tuple, self.choices.tolist()), self.rewards.tolist(), strict=True))
        found.update(zip(map(tuple, choices.tolist()), rewards.tolist(), strict=True))
        best = sorted(found.items(), key=lambda item: -item[1])[: self.capacity]
        self.load(
            torch.tensor([choice for choice, _ in best]),
            torch.tensor([reward for _, reward in best], dtype=torch.float64),
        )

    def load(self, choices: Tensor, rewards: Tensor) -> None:
        """Take over what another memory held."""
        self.choices, self.rewards = choices.to("cpu", torch.int64), rewards.to("cpu", torch.float64)
