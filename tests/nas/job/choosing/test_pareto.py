import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branches.costs.latency import Latency
from nas.candidates import Candidate
from nas.job.choosing.pareto import front, non_dominated
from nas.limits.limits import Cost
from search_spaces import macro_space

POINTS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=25)


def dominates(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


@given(POINTS)
def test_the_front_is_what_nothing_dominates_and_dominates_the_rest(points: list[tuple[int, ...]]) -> None:
    chosen = non_dominated(points)
    for index, point in enumerate(points):
        assert (index in chosen) == (not any(dominates(other, point) for other in points))
        assert index in chosen or any(dominates(points[one], point) for one in chosen)


def latency(milliseconds: float) -> Latency:
    return Latency(milliseconds, milliseconds, milliseconds, 1, 1, "cpu", 1)


def test_a_front_of_candidates() -> None:
    space = macro_space(2, widths=(4, 8))
    rng = np.random.default_rng(0)
    candidates = [Candidate(space.random(rng), score, "controller") for score in (0.9, 0.8, 0.8, 0.7, 0.9)]
    costs = [Cost(100, 10), Cost(50, 10), Cost(60, 10), Cost(100, 10), Cost(100, 10)]
    # The third is faster than the second by less than a step; the fourth is worst, but for its latency.
    found = front(candidates, costs, [latency(ms) for ms in (1.0, 1.0, 0.99, 0.5, 1.2)])
    identities = [candidate.architecture.identity for candidate in candidates]
    assert [one["identity"] for one in found] == [identities[1], identities[0], identities[3]]
    assert found[0]["architecture"] == candidates[1].architecture.to_json()
    assert [one["latency_ms"] for one in found] == pytest.approx([1.0, 1.0, 0.5])
    assert front([], [], []) == []
