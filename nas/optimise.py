"""The controller as a black-box optimiser: any reward over any space, no supernet."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from nas.allowed import Allowed
from nas.controller import Controller
from nas.errors import SearchError
from nas.recipes import REMEMBERING, Recipe
from nas.reinforce import Reinforce
from nas.seeds import seed_of
from search_spaces.architecture import Architecture
from search_spaces.decisions import Space

DRAWS = 8  # batches drawn in search of unasked architectures before proposals are changed at random


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

    An architecture is asked for once, unless `repeats` (for rewards that differ from call to call). When the policy
    proposes nothing new, its proposals are changed in one decision, then in two, and so on; the list ends early when
    that finds nothing either, which is to say that the space is (nearly) exhausted. With `allowed`, nothing else is
    asked for: such draws of the policy are drawn again, changed proposals are repaired.
    Raises SearchError for a reward that is not finite, or fewer than one update or sample.
    """
    if updates < 1 or samples_per_update < 1:
        raise SearchError(f"updates and samples_per_update must be at least 1, not {updates} and {samples_per_update}.")
    controller = Controller(
        space.decisions,
        hidden=hidden,
        temperature=recipe.temperature,
        tanh_constant=recipe.tanh_constant,
        skip_target=recipe.skip_target,
        generator=torch.Generator().manual_seed(seed_of(seed, "controller")),
    )
    reinforce = Reinforce(controller, recipe, seed=seed_of(seed, "reinforce"))
    queries: list[Query] = []
    asked: set[tuple[int, ...]] = set()
    for _ in range(updates):
        count = samples_per_update if budget is None else min(samples_per_update, budget - len(queries))
        if count < 1:
            break
        choices = _drawn(reinforce, count, allowed) if repeats else _unasked(reinforce, count, asked, allowed)
        if not len(choices):
            break
        found = [
            Query(architecture, float(reward(architecture)))
            for architecture in map(space.architecture, choices.tolist())
        ]
        queries += found
        reinforce.update(choices, [query.reward for query in found])
    return queries


def best(queries: list[Query]) -> Query:
    """The query with the highest reward, the first of equals. Raises SearchError when there is none."""
    if not queries:
        raise SearchError("There is no best of no queries: run at least one update.")
    return max(queries, key=lambda query: query.reward)


def _drawn(reinforce: Reinforce, n: int, allowed: Allowed | None) -> Tensor:
    if allowed is None:
        return reinforce.sample(n).choices.cpu()
    return allowed.policy(lambda count: reinforce.sample(count).choices, n, reinforce.generator)


def _unasked(reinforce: Reinforce, n: int, asked: set[tuple[int, ...]], allowed: Allowed | None) -> Tensor:
    """Up to `n` different architectures (m, D) that are not in `asked`, which they are added to."""
    decisions = reinforce.controller.decisions
    sizes = torch.tensor([len(decision.choices) for decision in decisions])
    found: list[tuple[int, ...]] = []
    for draw in range(DRAWS + len(decisions)):
        choices = _drawn(reinforce, n, allowed)
        if draw >= DRAWS:  # a settled policy repeats itself: look around its proposals, further away each time
            chance = torch.rand(2, *choices.shape, generator=reinforce.generator)
            changed = chance[0].argsort(1) <= draw - DRAWS
            choices = torch.where(changed, (chance[1] * sizes).long(), choices)
            if allowed is not None:
                choices = allowed.repair(choices, reinforce.generator)
        for choice in map(tuple, choices.tolist()):
            if choice not in asked and len(found) < n:
                asked.add(choice)
                found.append(choice)
        if len(found) == n:
            break
    return torch.tensor(found, dtype=torch.int64).reshape(len(found), len(decisions))
