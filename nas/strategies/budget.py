"""Budget of a search: each network is paid for once, and no more of them than were agreed."""

from collections.abc import Callable, Hashable

import numpy as np

from nas.errors import SearchError
from nas.limits.allowed import Allowed
from nas.strategies.controller import Query
from search_spaces import Architecture, Space

Reward = Callable[[Architecture], float]
PATIENCE = 1000  # random draws in a row that bring nothing new, after which a space counts as exhausted


class BudgetedReward:
    """Query each network once, up to a budget."""

    def __init__(self, space: Space, reward: Reward, budget: int, allowed: Allowed | None = None) -> None:
        if budget < 1:
            raise SearchError(f"The budget must be at least 1 query, is {budget}.")
        self.space, self.reward, self.budget, self.allowed = space, reward, budget, allowed
        self.queries: list[Query] = []
        self._known: dict[Hashable, Query] = {}

    @property
    def empty(self) -> bool:
        return len(self.queries) >= self.budget

    def knows(self, architecture: Architecture) -> bool:
        """Whether its network was paid for."""
        return self.space.key(architecture) in self._known

    def ask(self, architecture: Architecture) -> Query:
        """The architecture with its reward, paid for unless its network is known."""
        key = self.space.key(architecture)
        if key not in self._known:
            self._known[key] = Query(architecture, float(self.reward(architecture)))
            self.queries.append(self._known[key])
        return self._known[key]

    def uniform(self, rng: np.random.Generator) -> Architecture:
        """A random architecture, within the limits where there are some."""
        return self.allowed.uniform(rng) if self.allowed else self.space.random(rng)

    def draw(self, rng: np.random.Generator) -> Query | None:
        """A random architecture whose network was not asked for; None when there (nearly) is none, or no budget."""
        for _ in range(0 if self.empty else PATIENCE):
            architecture = self.uniform(rng)
            if not self.knows(architecture):
                return self.ask(architecture)
        return None
