"""Strategies by name: each searches a space by asking for the reward of one architecture after another.

A strategy is a function of space, reward, budget and seed alone. A search that was interrupted is therefore continued
by calling the same strategy again with a reward that remembers (see
:class:`nas.strategies.stages.TrialStage`).
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from nas.controller.recipes import REMEMBERING, Recipe
from nas.errors import SearchError
from nas.limits.allowed import Allowed
from nas.strategies.budget import BudgetedReward, Reward
from nas.strategies.controller import Query, optimise
from nas.strategies.surrogate import surrogate_search
from search_spaces import Space


class Strategy(Protocol):
    """Up to `budget` queries in the order they were made, fewer where the space holds no more.

    The same space, rewards, budget and seed give the same queries. With `allowed`, nothing else is asked for; NNI's
    own strategies know no limits and raise SearchError.
    """

    def __call__(
        self, space: Space, reward: Reward, budget: int, *, seed: int, allowed: Allowed | None = None
    ) -> list[Query]: ...


def random_search(
    space: Space, reward: Reward, budget: int, *, seed: int, allowed: Allowed | None = None
) -> list[Query]:
    """Different networks, every decision drawn uniformly."""
    rewards, rng = BudgetedReward(space, reward, budget, allowed), np.random.default_rng(seed)
    while rewards.draw(rng):
        pass
    return rewards.queries


def local_search(
    space: Space, reward: Reward, budget: int, *, seed: int, allowed: Allowed | None = None
) -> list[Query]:
    """Hill climbing from random starts: move to the first better neighbour; where there is none, start again.

    Exploring the Loss Landscape in Neural Architecture Search (White et al., 2021), arXiv:2005.02960. Neighbours differ
    in one decision and come in random order.
    """
    rewards, rng = BudgetedReward(space, reward, budget, allowed), np.random.default_rng(seed)
    while (here := rewards.draw(rng)) is not None:
        while here is not None:
            here = better_neighbour(rewards, here, rng)
    return rewards.queries


def better_neighbour(rewards: BudgetedReward, here: Query, rng: np.random.Generator) -> Query | None:
    """The first neighbour with more reward, in random order; None when there is none, or no budget to find it."""
    space, indices = rewards.space, rewards.space.indices(here.architecture)
    moves = [
        (column, choice)
        for column, current in enumerate(indices)
        for choice in range(len(space.decisions[column].choices))
        if choice != current
    ]
    for move in rng.permutation(len(moves)):
        if rewards.empty:
            return None
        column, choice = moves[move]
        architecture = space.architecture([*indices[:column], choice, *indices[column + 1 :]])
        if rewards.allowed and not rewards.allowed(architecture):
            continue
        neighbour = rewards.ask(architecture)
        if neighbour.reward > here.reward:
            return neighbour
    return None


def controller_search(
    space: Space,
    reward: Reward,
    budget: int,
    *,
    seed: int,
    allowed: Allowed | None = None,
    samples_per_update: int = 8,
    recipe: Recipe = REMEMBERING,
    hidden: int = 64,
) -> list[Query]:
    """The LSTM controller without shared weights (see :func:`nas.strategies.controller.optimise`)."""
    return optimise(
        space,
        reward,
        updates=-(-budget // samples_per_update),
        samples_per_update=samples_per_update,
        budget=budget,
        seed=seed,
        recipe=recipe,
        hidden=hidden,
        allowed=allowed,
    )


def of_nni(name: str) -> Strategy:
    """NNI's own random search or regularised evolution (see :mod:`nas.strategies.nni_search`)."""

    def search(space: Space, reward: Reward, budget: int, *, seed: int, allowed: Allowed | None = None) -> list[Query]:
        from nas.strategies.nni_search import evolution, random

        if allowed:
            raise SearchError("NNI's strategies keep no limits; take the limits out, or choose another strategy.")
        known: dict[str, Callable[..., list[Query]]] = {"random": random, "evolution": evolution}
        return known[name](space, reward, budget, seed=seed)

    return search


STRATEGIES: dict[str, Strategy] = {
    "controller": controller_search,
    "random": random_search,
    "local": local_search,
    "surrogate": surrogate_search,
    "nni-random": of_nni("random"),
    "nni-evolution": of_nni("evolution"),
}
