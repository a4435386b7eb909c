"""The contract of strategies, over all of them and several spaces."""

import hashlib
import itertools
from collections.abc import Callable

import pytest

from nas.errors import SearchError
from nas.settings import SEARCH_STRATEGIES
from nas.strategies.controller import Query
from nas.strategies.searches import STRATEGIES, Strategy, local_search, random_search
from nas.strategies.surrogate import surrogate_search
from search_spaces import Architecture, Decision, Space, macro_space, micro_space
from tests.nas.extra import needs_nni, with_nni_marked

SPACES = {
    "table": Space("table", {}, tuple(Decision(f"layer{n}", ("a", "b", "c"), "operation") for n in range(6))),
    "edges": Space(
        "edges",
        {},
        (
            Decision("one", ("a", "b"), "operation", 1),
            Decision("fixed", (7,)),
            Decision("two", ("a", "b"), "operation", 2),
            Decision("edge1-2", (False, True), "edge", 2, 1),
            Decision("width", (8, 16, 32), "width"),
        ),
    ),
    "macro": macro_space(3, widths=(4, 8), depths=(1, 2, 3)),
    "micro": micro_space(2, cells=2, widths=(4, 8), depths=(1, 2)),
}

strategies = pytest.mark.parametrize("name", with_nni_marked(tuple(STRATEGIES)))
spaces = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


def reward(architecture: Architecture) -> float:
    """A number in [0, 1) that is another one for each architecture, the same on every machine."""
    return int(hashlib.sha256(architecture.identity.encode()).hexdigest()[:8], 16) / 2**32


def choices(queries: list[Query]) -> list[Architecture]:
    return [query.architecture for query in queries]


@strategies
@spaces
def test_the_seed_decides_the_sequence(name: str, space: Space) -> None:
    runs = [STRATEGIES[name](space, reward, 20, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert choices(runs[0]) != choices(runs[2])


@strategies
@spaces
def test_queries_are_what_was_asked_and_answered_within_the_budget(name: str, space: Space) -> None:
    asked: list[Architecture] = []

    def noted(architecture: Architecture) -> float:
        space.validate(architecture)
        asked.append(architecture)
        return reward(architecture)

    found = STRATEGIES[name](space, noted, 21, seed=0)
    assert choices(found) == asked
    assert [query.reward for query in found] == [reward(one) for one in asked]
    assert len(set(asked)) == len(asked) == 21


@strategies
def test_an_exhausted_space_stops(name: str) -> None:
    space = SPACES["edges"]
    found = STRATEGIES[name](space, reward, 1000, seed=0)
    assert len(found) <= space.size == 24
    assert len(set(choices(found))) == len(found)
    if name != "nni-evolution":  # which mutates the living: it may stop where those have no new children
        assert len(found) == space.size


@strategies
@spaces
def test_every_choice_of_every_decision_is_reachable(name: str, space: Space) -> None:
    seen = set()
    for seed in range(4):
        for query in STRATEGIES[name](space, reward, 40, seed=seed):
            seen |= set(enumerate(space.indices(query.architecture)))
    wanted = {(at, choice) for at, one in enumerate(space.decisions) for choice in range(len(one.choices))}
    assert seen == wanted


@strategies
@spaces
def test_what_was_asked_before_and_the_rewards_decide_what_is_asked_next(name: str, space: Space) -> None:
    """So that a search is resumed by answering again what was asked before: a longer run begins as the shorter one."""
    if name == "nni-evolution":
        from nas.strategies.nni_search import evolution

        def strategy(space: Space, reward: Callable[[Architecture], float], budget: int, *, seed: int) -> list[Query]:
            return evolution(space, reward, budget, seed=seed, population=4)  # not a fifth of the budget
    else:
        strategy = STRATEGIES[name]
    whole = strategy(space, reward, 24, seed=3)
    assert strategy(space, reward, 16, seed=3) == whole[:16]


@strategies
def test_rewards_matter(name: str) -> None:
    """Those that learn find the better half of a decision more often when it is rewarded; random ones do not change."""
    space = SPACES["table"]
    kinds: dict[str, list[Architecture]] = {}
    for kind in ("a", "c"):

        def count(architecture: Architecture, kind: str = kind) -> float:
            return sum(choice == kind for _, choice in architecture.choices) / 6

        kinds[kind] = choices(STRATEGIES[name](space, count, 100, seed=0))
    if name in ("random", "nni-random"):
        assert kinds["a"] == kinds["c"]
        return
    shares = [
        sum(choice == kind for one in asked[50:] for _, choice in one.choices) / 300 for kind, asked in kinds.items()
    ]
    assert min(shares) > 0.4  # by chance a third, with a standard deviation of 0.03


@strategies
@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_is_at_least_one(name: str, budget: int) -> None:
    with pytest.raises(SearchError, match="at least 1"):
        STRATEGIES[name](SPACES["table"], reward, budget, seed=0)


@strategies
def test_a_budget_of_one_asks_once(name: str) -> None:
    assert len(STRATEGIES[name](SPACES["table"], reward, 1, seed=0)) == 1


@pytest.mark.parametrize("strategy", [random_search, local_search, surrogate_search])
def test_no_network_is_paid_for_twice(strategy: Strategy) -> None:
    space = macro_space(1, widths=(4,), depths=(1,), activations=("relu",), poolings=("average",))
    kinds = {"activations": ("relu",), "poolings": ("average",), "shortcuts": (True,)}
    twins = macro_space(2, widths=(4,), operations=("conv3x3", "conv5x5"), **kinds)  # type: ignore[arg-type]
    assert len(strategy(space, reward, 100, seed=0)) == space.size
    networks = {
        twins.key(twins.architecture(indices))
        for indices in itertools.product(*(range(len(one.choices)) for one in twins.decisions))
    }
    found = strategy(twins, reward, 100, seed=0)
    assert len(found) == len({twins.key(one) for one in choices(found)}) == len(networks) < twins.size


def test_local_search_climbs_to_the_top() -> None:
    space = SPACES["table"]
    found = local_search(space, lambda one: sum(space.indices(one)), 60, seed=0)
    assert max(query.reward for query in found) == 12


@needs_nni
def test_nni_evolution_mutates_the_living() -> None:
    """After the first population every child differs from some living individual in about one decision."""
    from nas.strategies.nni_search import evolution

    space = Space("long", {}, tuple(Decision(f"d{n}", tuple(range(5))) for n in range(12)))
    found = evolution(space, reward, 60, seed=0, population=10, tournament=3)
    rows = [space.indices(one) for one in choices(found)]
    for place in range(10, 60):
        living = rows[place - 10 : place]
        assert min(sum(a != b for a, b in zip(rows[place], one, strict=True)) for one in living) <= 6
    steps = [
        min(sum(a != b for a, b in zip(rows[place], one, strict=True)) for one in rows[place - 10 : place])
        for place in range(10, 60)
    ]
    assert sum(steps) / len(steps) < 2.5


def test_the_registry_and_the_front_door_know_the_same_strategies() -> None:
    assert ("enas", *STRATEGIES, "nni-darts") == SEARCH_STRATEGIES
