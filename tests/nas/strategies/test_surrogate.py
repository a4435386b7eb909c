"""Search by a Gaussian process: what it asks for, what it survives, and that it is worth it."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from branches.costs.architecture import branch_costs
from foundation.history import read_history
from nas.limits.allowed import Allowed
from nas.limits.limits import Cost, Limits
from nas.settings import JobData
from nas.strategies.budget import BudgetedReward
from nas.strategies.gaussian_process import gaussian_ranks, hamming
from nas.strategies.searches import random_search
from nas.strategies.stages import TrialStage
from nas.strategies.surrogate import (
    BATCH,
    BEST,
    IDLE,
    NEIGHBOURS,
    UNIFORM,
    Plans,
    favourites,
    neighbours,
    proposals,
    surrogate_search,
)
from search_spaces import Architecture, Decision, Space, macro_space, micro_space
from tests.nas.killing import killed_after
from tests.nas.strategies.test_stages import SETTINGS
from tests.untimed import untimed

TABLE = Space("table", {}, tuple(Decision(f"layer{n}", ("a", "b", "c"), "operation") for n in range(8)))
TINY = Space("tiny", {}, (Decision("one", ("a", "b")), Decision("two", (1, 2, 3))))
MACRO = macro_space(3, widths=(4, 8), depths=(1, 2, 3))
CPU = torch.device("cpu")


def chance(architecture: Architecture) -> float:
    """A number in [0, 1) for each architecture, the same on every machine."""
    return int(hashlib.sha256(architecture.identity.encode()).hexdigest()[:8], 16) / 2**32


def smooth(architecture: Architecture) -> float:
    """Additive, with one pair that works together."""
    indices = TABLE.indices(architecture)
    return sum(weight * index for weight, index in zip((5, -4, 3, -2, 1, 1, 1, 1), indices, strict=True)) + (
        4.0 * (indices[4] == indices[5] == 1)
    )


def best_of(asked: list[tuple[Architecture, float]], count: int) -> float:
    return max(reward for _, reward in asked[:count])


def test_it_finds_what_chance_does_not() -> None:
    """The best of 6,561 networks within 64 queries, where random search has it in one run of a hundred."""
    top = 5 * 2 + 3 * 2 + 4 + 1 + 1 + 2 + 2
    assert max(smooth(TABLE.architecture(row)) for row in np.ndindex(*[3] * 8)) == top
    found = [best_of(list(surrogate_search(TABLE, smooth, 64, seed=seed)), 64) for seed in range(5)]
    by_chance = [best_of(list(random_search(TABLE, smooth, 64, seed=seed)), 64) for seed in range(5)]
    assert sum(value == top for value in found) >= 4
    assert max(by_chance) < top


def test_it_begins_by_chance() -> None:
    """Whatever the rewards, the first batch is the same; the second is not."""
    one, other = (
        [query.architecture for query in surrogate_search(TABLE, reward, 2 * BATCH, seed=5)]
        for reward in (smooth, lambda architecture: -smooth(architecture))
    )
    assert one[:BATCH] == other[:BATCH] == [query.architecture for query in random_search(TABLE, smooth, BATCH, seed=5)]
    assert set(one[BATCH:]) != set(other[BATCH:])


@pytest.mark.parametrize("budget", [1, 7, 8, 9, 21])
def test_a_longer_run_begins_as_a_shorter_one(budget: int) -> None:
    assert surrogate_search(MACRO, chance, budget, seed=3) == surrogate_search(MACRO, chance, 24, seed=3)[:budget]


def same(architecture: Architecture) -> float:
    return 0.5


def sometimes_failed(architecture: Architecture) -> float:
    return math.nan if chance(architecture) < 0.5 else chance(architecture)


def always_failed(architecture: Architecture) -> float:
    return math.nan


def endless(architecture: Architecture) -> float:
    return math.inf if chance(architecture) < 0.2 else chance(architecture) * 1e300


@pytest.mark.parametrize("reward", [same, sometimes_failed, always_failed, endless])
def test_odd_rewards_end_no_search(reward: Callable[[Architecture], float]) -> None:
    asked = [query.architecture for query in surrogate_search(TABLE, reward, 40, seed=0)]
    assert len(set(asked)) == len(asked) == 40


@pytest.mark.parametrize("seed", range(3))
def test_a_space_smaller_than_a_batch_is_asked_for_whole(seed: int) -> None:
    assert len({query.architecture for query in surrogate_search(TINY, chance, 100, seed=seed)}) == TINY.size == 6


def test_a_space_of_one_network() -> None:
    assert len(surrogate_search(Space("one", {}, (Decision("all", (1,)),)), chance, 5, seed=0)) == 1


def test_nothing_outside_the_limits_is_asked_for() -> None:
    def cost(architecture: Architecture) -> Cost:
        return Cost(*branch_costs(architecture, (10, 3, 3), 2))

    allowed = Allowed(MACRO, Limits(parameters=500), cost, seed=0)
    asked = [query.architecture for query in surrogate_search(MACRO, chance, 40, seed=0, allowed=allowed)]
    assert len({MACRO.key(architecture) for architecture in asked}) == 40
    assert all(cost(architecture).parameters <= 500 for architecture in asked)
    free = [query.architecture for query in surrogate_search(MACRO, chance, 40, seed=0)]
    assert any(cost(architecture).parameters > 500 for architecture in free)


def test_the_pool_is_what_lies_next_to_the_best_and_as_many_again_from_anywhere() -> None:
    rewards, rng = BudgetedReward(TABLE, smooth, 100), np.random.default_rng(0)
    for _ in range(30):
        rewards.draw(rng)
    known = np.array([TABLE.indices(query.architecture) for query in rewards.queries])
    pool = proposals(rewards, gaussian_ranks([query.reward for query in rewards.queries]), rng)
    rows = np.array([TABLE.indices(architecture) for architecture in pool])
    best = sorted(rewards.queries, key=lambda query: -query.reward)[:BEST]
    every = np.array(list(np.ndindex(*[3] * 8)))
    nearest = hamming(every, np.array([TABLE.indices(query.architecture) for query in best])).min(1)
    around = {tuple(row) for row in every[nearest == 1].tolist()} - {tuple(row) for row in known.tolist()}
    assert 60 < len(around) <= NEIGHBOURS
    assert {tuple(row) for row in rows[: len(around)].tolist()} == around
    assert len(set(pool)) == len(pool) == len(around) + UNIFORM
    assert hamming(rows, known).min() > 0
    assert (rows[len(around) :] == 0).mean(0) == pytest.approx(np.full(8, 1 / 3), abs=0.12)


def test_of_many_neighbours_some_are_taken() -> None:
    wide = Space("wide", {}, tuple(Decision(f"layer{n}", tuple(range(9))) for n in range(8)))
    rewards, rng = BudgetedReward(wide, chance, 100), np.random.default_rng(0)
    for _ in range(10):
        rewards.draw(rng)
    pool = proposals(rewards, gaussian_ranks([query.reward for query in rewards.queries]), rng)
    assert len(set(pool)) == len(pool) == NEIGHBOURS + UNIFORM
    rows = np.array([wide.indices(architecture) for architecture in pool])
    best = sorted(rewards.queries, key=lambda query: -query.reward)[:BEST]
    apart = hamming(rows, np.array([wide.indices(query.architecture) for query in best]))
    assert (apart[:NEIGHBOURS].min(1) == 1).all()
    assert (apart[:NEIGHBOURS] == 1).any(0).all()  # of each of the five
    assert apart[NEIGHBOURS:].mean() > 6


def test_neighbours_answer_one_decision_otherwise() -> None:
    rewards = BudgetedReward(TINY, chance, 10)
    found = {TINY.indices(one) for one in neighbours(rewards, [(0, 1)], np.random.default_rng(0))}
    assert found == {(1, 1), (0, 0), (0, 2)}


def test_each_function_has_a_favourite_of_its_own() -> None:
    drawn = np.array([[1.0, 3.0, 2.0], [0.0, 9.0, 8.0], [5.0, 9.0, 8.0], [1.0, 2.0, 3.0]])
    assert favourites(drawn) == [1, 2, 0]
    assert drawn[1, 1] == 9.0


def test_answers_that_build_nothing_are_idle() -> None:
    plans = Plans(MACRO)
    indices = [0] * len(MACRO.decisions)
    names = [decision.name for decision in MACRO.decisions]
    for depth in (1, 2, 3):
        indices[names.index("depth")] = depth - 1
        idle = {
            name
            for name, answer in zip(names, plans([MACRO.architecture(indices)])[0].tolist(), strict=True)
            if answer == IDLE
        }
        late = [f"node{node}." for node in range(depth + 1, 4)] + [f"-{node}" for node in range(depth + 1, 4)]
        assert idle == {name for name in names if any(part in name for part in late)}


def test_an_answer_that_matters_to_some_is_not_idle() -> None:
    """Two of three answers build the same network: only the third tells that the decision is read."""
    decisions = (Decision("capped", (0, 1, 2)), Decision("unread", (0, 1)))
    space = Space("twins", {}, decisions, canonical=lambda architecture: min(int(str(architecture["capped"])), 1))
    rows = Plans(space)([space.architecture(indices) for indices in ((0, 0), (1, 1), (2, 0))])
    assert rows.tolist() == [[0, IDLE], [1, IDLE], [2, IDLE]]


@pytest.mark.parametrize(
    "space", [MACRO, micro_space(2, cells=2, widths=(4, 8), depths=(1, 2))], ids=["macro", "micro"]
)
def test_equal_plans_are_equal_networks(space: Space) -> None:
    rng, plans = np.random.default_rng(0), Plans(space)
    found: dict[tuple[int, ...], object] = {}
    for _ in range(300):
        architecture = space.random(rng)
        plan = tuple(plans([architecture])[0].tolist())
        assert found.setdefault(plan, space.key(architecture)) == space.key(architecture)


def test_a_plan_without_twins_is_its_indices() -> None:
    architecture = TABLE.random(np.random.default_rng(0))
    assert tuple(Plans(TABLE)([architecture])[0]) == TABLE.indices(architecture)


def test_a_search_that_was_killed_in_any_batch_ends_the_same(data: JobData, tmp_path: Path) -> None:
    settings = replace(SETTINGS, strategy="surrogate", trials=18)

    def run(folder: Path) -> list[object]:
        return list(TrialStage(data, settings, folder=folder, seed=0, device=CPU).candidates())

    whole = run(tmp_path / "whole")
    history = untimed(read_history(tmp_path / "whole" / "history.jsonl"))
    assert len(history) == 18
    for limit in (3, 8, 9, 15, 16, 17):
        with killed_after(limit):
            run(tmp_path / str(limit))
        assert run(tmp_path / str(limit)) == whole
        assert untimed(read_history(tmp_path / str(limit) / "history.jsonl")) == history
