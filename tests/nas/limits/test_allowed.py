"""Nothing outside the limits is ever drawn, what is inside is drawn as before, and every draw comes to an end."""

from collections import Counter
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from branches.costs.architecture import branch_costs
from nas.controller.policy import Controller
from nas.controller.recipes import STRONG
from nas.controller.reinforce import Reinforce
from nas.errors import SearchError
from nas.limits.allowed import TRIES, Allowed
from nas.limits.limits import Cost, Limits
from nas.strategies.controller import optimise
from search_spaces import Architecture, Space, macro_space

SHAPE = (10, 3, 3)
SPACE = macro_space(3, widths=(4, 8, 16), depths=(1, 2, 3))
SMALL = macro_space(1, widths=(2, 4, 8), operations=("conv3x3", "max_pool3x3"), activations=("relu", "silu"))


def cost(architecture: Architecture) -> Cost:
    return Cost(*branch_costs(architecture, SHAPE, 2))


def allowed_in(space: Space, limits: Limits, seed: int = 0) -> Allowed:
    return Allowed(space, limits, cost, seed=seed)


def everything(space: Space) -> list[Architecture]:
    return [space.architecture(row) for row in product(*(range(len(d.choices)) for d in space.decisions))]


def policy(space: Space, seed: int = 0) -> Reinforce:
    controller = Controller(space.decisions, hidden=8, generator=torch.Generator().manual_seed(seed))
    return Reinforce(controller, STRONG, seed=seed)


def drawer(reinforce: Reinforce) -> Callable[[int], Tensor]:
    return lambda count: reinforce.sample(count)


@settings(max_examples=10, deadline=None)
@given(parameters=st.integers(60, 3000), macs=st.integers(400, 30_000), seed=st.integers(0, 99))
def test_every_draw_is_within_the_limits(parameters: int, macs: int, seed: int) -> None:
    limits = Limits(parameters=parameters, macs=macs)
    try:
        allowed = allowed_in(SPACE, limits, seed)
    except SearchError:
        return
    rng, reinforce = np.random.default_rng(seed), policy(SPACE, seed)
    drawn = [allowed.uniform(rng) for _ in range(5)]
    drawn += map(SPACE.architecture, allowed.policy(drawer(reinforce), 7, reinforce.generator).tolist())
    assert len(drawn) == 12
    for architecture in drawn:
        assert cost(architecture).parameters <= parameters
        assert cost(architecture).macs <= macs


def test_uniform_draws_are_uniform_over_what_is_allowed() -> None:
    limits = Limits(parameters=150)
    inside = [one for one in everything(SMALL) if cost(one).parameters <= 150]
    assert 0 < len(inside) < SMALL.size
    allowed, rng = allowed_in(SMALL, limits), np.random.default_rng(0)
    counts = Counter(allowed.uniform(rng) for _ in range(2000))
    assert set(counts) == set(inside)
    assert chisquare([counts[one] for one in inside]).pvalue > 1e-3


def test_policy_draws_are_the_policys_own_without_the_rejected() -> None:
    allowed = allowed_in(SPACE, Limits(parameters=500))
    reinforce, plain = policy(SPACE), policy(SPACE)
    found = allowed.policy(drawer(reinforce), 20, reinforce.generator)
    asked: list[list[int]] = []

    def record(count: int) -> Tensor:
        rows = plain.sample(count)
        asked.extend(rows.tolist())
        return rows

    again = allowed.policy(record, 20, plain.generator)
    assert torch.equal(found, again)
    inside = [row for row in asked if cost(SPACE.architecture(row)).parameters <= 500]
    assert found.tolist() == inside[:20]
    assert len(inside) < len(asked)


def test_limits_that_nothing_breaks_change_no_draw() -> None:
    allowed = allowed_in(SPACE, Limits(parameters=10**9))
    reinforce, plain = policy(SPACE), policy(SPACE)
    assert torch.equal(allowed.policy(drawer(reinforce), 30, reinforce.generator), plain.sample(30))
    assert torch.equal(reinforce.generator.get_state(), plain.generator.get_state())
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    assert [allowed.uniform(one) for _ in range(9)] == [SPACE.random(other) for _ in range(9)]


def test_the_smallest_architecture_of_a_large_space_is_found() -> None:
    space = macro_space(8, widths=(4, 8, 16, 32, 64), depths=range(1, 9))
    least = 10 * 4 + 2 * 4 * 2 + 4 * 2 + 2  # stem, two norms, and the linear layer, at width 4 with a pooling node
    allowed = allowed_in(space, Limits(parameters=least))
    rng, reinforce = np.random.default_rng(0), policy(space)
    drawn = [allowed.uniform(rng) for _ in range(3)]
    drawn += map(space.architecture, allowed.policy(drawer(reinforce), 3, reinforce.generator).tolist())
    assert {cost(one).parameters for one in drawn} == {least}
    assert len({space.indices(one) for one in drawn}) > 1  # idle and free choices still differ
    with pytest.raises(SearchError) as refused:
        allowed_in(space, Limits(parameters=least - 1))
    assert str(refused.value) == (
        f"No architecture of this macro space has at most {least - 1} parameters; the smallest found has {least} "
        "parameters: raise --max-parameters (search.max_parameters in graftnet.toml), or allow smaller widths."
    )


def test_only_the_limits_that_cannot_be_kept_are_to_be_raised() -> None:
    with pytest.raises(SearchError, match=r"raise --max-macs \(search\.max_macs") as refused:
        allowed_in(SPACE, Limits(parameters=10**6, macs=10))
    assert "--max-parameters" not in str(refused.value)


def test_a_policy_that_has_settled_outside_is_brought_back() -> None:
    allowed = allowed_in(SPACE, Limits(parameters=200))
    largest = max((SPACE.random(np.random.default_rng(n)) for n in range(200)), key=lambda one: cost(one).parameters)
    row = torch.tensor(SPACE.indices(largest))
    asked: list[int] = []

    def settled(count: int) -> Tensor:
        asked.append(count)
        return row.repeat(count, 1)

    found = allowed.policy(settled, 4, torch.Generator().manual_seed(0))
    assert sum(asked) <= TRIES * 4 + 512
    assert max(cost(SPACE.architecture(one)).parameters for one in found.tolist()) <= 200
    same = allowed.policy(settled, 4, torch.Generator().manual_seed(0))
    other = allowed.policy(settled, 4, torch.Generator().manual_seed(1))
    assert torch.equal(found, same)
    assert not torch.equal(found, other)


@pytest.mark.parametrize("repeats", [False, True])
def test_the_optimiser_asks_for_nothing_else(repeats: bool) -> None:
    asked: list[Architecture] = []

    def reward(architecture: Architecture) -> float:
        asked.append(architecture)
        return float(cost(architecture).parameters)  # it is drawn to what is forbidden

    limit = 400
    found = optimise(
        SPACE,
        reward,
        updates=25,
        samples_per_update=4,
        seed=0,
        hidden=8,
        repeats=repeats,
        allowed=allowed_in(SPACE, Limits(parameters=limit)),
    )
    assert len(found) == len(asked) == 100
    assert max(cost(one).parameters for one in asked) <= limit
    assert repeats or len(set(asked)) == 100


def test_the_optimiser_exhausts_what_is_allowed() -> None:
    limits = Limits(parameters=100)
    inside = {one for one in everything(SMALL) if cost(one).parameters <= 100}
    found = optimise(SMALL, lambda _: 0.0, updates=100, seed=0, hidden=8, allowed=allowed_in(SMALL, limits))
    assert {query.architecture for query in found} == inside
    assert len(found) == len(inside)
