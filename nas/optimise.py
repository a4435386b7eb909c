"""The controller as a black-box optimiser: any reward over any space, no supernet."""

from collections.abc import Callable

import torch

from nas.allowed import Allowed
from nas.controller import Controller
from nas.errors import SearchError
from nas.proposals import Proposals, Query
from nas.recipes import REMEMBERING, Recipe
from nas.reinforce import Reinforce
from nas.seeds import seed_of
from search_spaces.architecture import Architecture
from search_spaces.decisions import Space

__all__ = ["Query", "best", "optimise"]


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

    A network is asked for once (see `nas.proposals`), unless `repeats` (for rewards that differ from call to call); the
    list ends early when nothing new is found, which is to say that the space is (nearly) exhausted. With `allowed`,
    nothing else is asked for: such draws of the policy are drawn again, changed proposals are repaired.
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
    proposals = Proposals(space, reinforce, allowed)
    for _ in range(updates):
        count = samples_per_update if budget is None else min(samples_per_update, budget - len(queries))
        if count < 1:
            break
        neighbours = round(recipe.neighbours * count)
        choices = proposals.draw(count) if repeats else proposals.new(count, queries, neighbours)
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
