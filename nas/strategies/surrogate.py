"""Search by a Gaussian process: train what a plausible function of the decisions calls best, and learn from it.

Thompson sampling, after On the Likelihood that One Unknown Probability Exceeds Another in View of the Evidence of Two
Samples (Thompson, 1933); in batches, one posterior function per place, Parallel and Distributed Thompson Sampling for
Large-scale Accelerated Exploration of Chemical Space (Hernandez-Lobato et al., 2017), arXiv:1706.01825. Theirs is a
Bayesian neural network over molecules; here a process over decisions (:mod:`nas.strategies.gaussian_process`).
"""

from collections.abc import Iterator

import numpy as np

from nas.limits.allowed import Allowed
from nas.strategies.budget import BudgetedReward, Reward
from nas.strategies.controller import Query
from nas.strategies.gaussian_process import Answers, Floats, gaussian_ranks, likeliest, posterior_draws
from search_spaces import Architecture, Space

BATCH = 8
REFIT = 4  # batches between two choices of the kernel
BEST = 5  # the networks whose neighbourhoods are looked at
NEIGHBOURS, UNIFORM = 80, 148  # proposals next to these, and anywhere
DRAWS = 4 * UNIFORM  # where few networks are left, fewer are new; a space where none is counts as exhausted
IDLE = -1  # the answer to a decision that changes nothing


def surrogate_search(
    space: Space, reward: Reward, budget: int, *, seed: int, allowed: Allowed | None = None
) -> list[Query]:
    """A random batch, then batches of what functions drawn from the posterior call best among a pool of new networks.

    Rewards count by rank; one that is not finite is the worst of all. Raises SearchError for no budget.
    """
    rewards, rng = BudgetedReward(space, reward, budget, allowed), np.random.default_rng(seed)
    while len(rewards.queries) < BATCH and rewards.draw(rng):
        pass
    plans = Plans(space)
    batch = 0
    while not rewards.empty:
        targets = gaussian_ranks([query.reward for query in rewards.queries])
        pool = proposals(rewards, targets, rng)
        if not pool:
            break
        known = plans([query.architecture for query in rewards.queries])
        if batch % REFIT == 0:
            kernel = likeliest(known, targets)
        batch += 1
        chosen = favourites(posterior_draws(known, targets, plans(pool), kernel, BATCH, rng))
        for place in chosen[: budget - len(rewards.queries)]:
            rewards.ask(pool[place])
    return rewards.queries


def favourites(drawn: Floats) -> list[int]:
    """The best place of each function (n, m) that no function before it took."""
    left = drawn.copy()
    taken: list[int] = []
    for function in left[: left.shape[1]]:
        function[taken] = -np.inf
        taken.append(int(function.argmax()))
    return taken


def proposals(rewards: BudgetedReward, targets: Floats, rng: np.random.Generator) -> list[Architecture]:
    """Different networks that were not asked for: some next to the best, some drawn uniformly."""
    space = rewards.space
    found: dict[object, Architecture] = {}

    def take(proposed: Iterator[Architecture], count: int) -> None:
        """Up to `count` more."""
        wanted = len(found) + count
        for architecture in proposed:
            if not rewards.knows(architecture):
                found.setdefault(space.key(architecture), architecture)
            if len(found) == wanted:
                break

    best = np.argsort(-targets, kind="stable")[:BEST].tolist()
    take(neighbours(rewards, [space.indices(rewards.queries[place].architecture) for place in best], rng), NEIGHBOURS)
    take((rewards.uniform(rng) for _ in range(DRAWS)), UNIFORM)
    return list(found.values())


def neighbours(
    rewards: BudgetedReward, best: list[tuple[int, ...]], rng: np.random.Generator
) -> Iterator[Architecture]:
    """All allowed architectures that answer one decision otherwise than one of the `best`, in random order."""
    space, allowed = rewards.space, rewards.allowed
    moves = [
        (*indices[:column], choice, *indices[column + 1 :])
        for indices in best
        for column, decision in enumerate(space.decisions)
        for choice in range(len(decision.choices))
        if choice != indices[column]
    ]
    for number in rng.permutation(len(moves)).tolist():
        architecture = space.architecture(moves[number])
        if allowed is None or allowed(architecture):
            yield architecture


class Plans:
    """The answers of architectures as numbers, idle ones as `IDLE`: those of nodes beyond the last one, for example.

    A decision is idle where every other answer to it would build the same network. That is found by trying, so that
    a new space needs to say nothing; each architecture is tried once.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._found: dict[Architecture, tuple[int, ...]] = {}

    def __call__(self, architectures: list[Architecture]) -> Answers:
        """(n, D)."""
        for architecture in architectures:
            if architecture not in self._found:
                self._found[architecture] = self._plan(architecture)
        return np.array([self._found[architecture] for architecture in architectures], dtype=np.int64)

    def _plan(self, architecture: Architecture) -> tuple[int, ...]:
        space, indices = self.space, self.space.indices(architecture)
        if space.canonical is None:
            return indices
        key = space.key(architecture)
        return tuple(
            IDLE
            if all(
                space.key(space.architecture((*indices[:column], choice, *indices[column + 1 :]))) == key
                for choice in range(len(decision.choices))
                if choice != indices[column]
            )
            else indices[column]
            for column, decision in enumerate(space.decisions)
        )
