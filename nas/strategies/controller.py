"""The controller without shared weights as a strategy: it pays for no network twice.

Part of a batch are draws of the policy, part are neighbours of the best architectures so far, one decision changed.
Local search does well on tables of trained networks (White et al., 2021, arXiv:2005.02960), where good networks lie
next to better ones; a policy needs some hundred rewards to find that out, its neighbours show it from the second batch.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nas.controller.recipes import REMEMBERING, Recipe
from nas.controller.reinforce import Reinforce
from nas.errors import SearchError
from nas.limits.allowed import Allowed
from search_spaces.architecture import Architecture
from search_spaces.decisions import Space

DRAWS = 8  # batches drawn in search of new networks before proposals are changed at random

Indices = tuple[int, ...]


class Query(NamedTuple):
    """One architecture that was asked for, and its reward."""

    architecture: Architecture
    reward: float


def optimise(
    space: Space,
    reward: Callable[[Architecture], float],
    *,
    updates: int,
    samples_per_update: int = 8,
    seed: int,
    recipe: Recipe = REMEMBERING,
    hidden: int = 64,
    repeats: bool = False,
    budget: int | None = None,
    allowed: Allowed | None = None,
) -> list[Query]:
    """Maximise `reward` over `space`; all queries in the order they were made (see `best` for the answer).

    With a `budget` the last update is on what is left of it, so that no more queries than that are made.

    A network is asked for once (see the head of this file), unless `repeats` (for rewards that differ from call
    to call); the list ends early when nothing new is found, which is to say that the space is (nearly) exhausted. With
    `allowed`, nothing else is asked for: such draws of the policy are drawn again, changed proposals are repaired.
    Raises SearchError for a reward that is not finite, or fewer than one update or sample.
    """
    if updates < 1 or samples_per_update < 1:
        raise SearchError(f"updates and samples_per_update must be at least 1, not {updates} and {samples_per_update}.")
    reinforce = Reinforce.fresh(space.decisions, recipe, hidden=hidden, seed=seed)
    queries: list[Query] = []
    proposals = Proposals(space, reinforce, allowed)
    for _ in range(updates):
        count = samples_per_update if budget is None else min(samples_per_update, budget - len(queries))
        if count < 1:
            break
        neighbours = round(recipe.neighbours * count)
        choices = proposals.draw(count) if repeats else proposals.new(count, queries, neighbours)
        if not len(choices):
            break
        batch = [
            Query(architecture, float(reward(architecture)))
            for architecture in map(space.architecture, choices.tolist())
        ]
        queries += batch
        reinforce.update(choices, [query.reward for query in batch])
    return queries


def best(queries: list[Query]) -> Query:
    """The query with the highest reward, the first of equals. Raises SearchError when there is none."""
    if not queries:
        raise SearchError("There is no best of no queries: run at least one update.")
    return max(queries, key=lambda query: query.reward)


class Proposals:
    """New networks for `reinforce` to learn from, drawn with its generator; with `allowed`, nothing else."""

    def __init__(self, space: Space, reinforce: Reinforce, allowed: Allowed | None) -> None:
        self.space, self.reinforce, self.allowed = space, reinforce, allowed
        self._sizes = torch.tensor([len(decision.choices) for decision in space.decisions])
        self._known: set[Hashable] = set()

    def draw(self, n: int) -> Tensor:
        """`n` draws (n, D) of the policy, whether known or not."""
        if self.allowed is None:
            return self.reinforce.sample(n).cpu()
        return self.allowed.policy(self.reinforce.sample, n, self.reinforce.generator)

    def new(self, n: int, queries: Sequence[Query], neighbours: int) -> Tensor:
        """Up to `n` different new networks (m, D), of which up to `neighbours` are next to the best of `queries`.

        When the policy proposes nothing new, its proposals are changed in one decision, then in two, and so on; fewer
        than `n` come back when that finds nothing either.
        """
        taken: list[Indices] = []
        if neighbours and queries:
            self._take(self._around(queries), taken, min(n, neighbours))
        for draw in range(DRAWS + len(self._sizes)):
            if len(taken) == n:
                break
            choices = self.draw(n)
            if draw >= DRAWS:  # a settled policy repeats itself: look around its proposals, further away each time
                choices = self._changed(choices, draw - DRAWS + 1)
            self._take(map(tuple, choices.tolist()), taken, n)
        return torch.tensor(taken, dtype=torch.int64).reshape(len(taken), len(self._sizes))

    def _take(self, proposed: Iterator[Indices], taken: list[Indices], n: int) -> None:
        """Move new networks from `proposed` to `found` until it has `n`."""
        for indices in proposed:
            if len(taken) == n:
                return
            key = self.space.key(self.space.architecture(indices))
            if key not in self._known:
                self._known.add(key)
                taken.append(indices)

    def _around(self, queries: Sequence[Query]) -> Iterator[Indices]:
        """One decision of the best changed, in random order; then of the second best, and so on."""
        for query in sorted(queries, key=lambda query: -query.reward):
            here = self.space.indices(query.architecture)
            moves = [
                (*here[:column], choice, *here[column + 1 :])
                for column, size in enumerate(self._sizes.tolist())
                for choice in range(size)
                if choice != here[column]
            ]
            for number in torch.randperm(len(moves), generator=self.reinforce.generator).tolist():
                if self.allowed is None or self.allowed(self.space.architecture(moves[number])):
                    yield moves[number]

    def _changed(self, choices: Tensor, places: int) -> Tensor:
        """`choices` (n, D) with `places` decisions of each drawn anew, uniformly."""
        chance = torch.rand(2, *choices.shape, generator=self.reinforce.generator)
        changed = torch.where(chance[0].argsort(1) < places, (chance[1] * self._sizes).long(), choices)
        return changed if self.allowed is None else self.allowed.repair(changed, self.reinforce.generator)
