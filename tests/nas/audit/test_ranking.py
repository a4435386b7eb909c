"""Kendall's tau against a count of pairs by hand, and its bootstrap interval."""

from itertools import combinations

import numpy as np
import pytest

from nas.audit.ranking import agreement


def counted(left: list[float], right: list[float]) -> float:
    """(concordant - discordant) / pairs, without ties."""
    pairs = list(combinations(range(len(left)), 2))
    return sum(np.sign((left[i] - left[j]) * (right[i] - right[j])) for i, j in pairs) / len(pairs)


def test_tau_is_the_mean_over_the_right_sides() -> None:
    rng = np.random.default_rng(0)
    left, first, second = (rng.normal(size=9).tolist() for _ in range(3))
    found = agreement(left, [first, second], seed=0)
    assert found.tau == pytest.approx((counted(left, first) + counted(left, second)) / 2)
    assert found.low is not None
    assert found.high is not None
    assert found.tau is not None
    assert -1 <= found.low <= found.tau <= found.high <= 1
    assert found == agreement(left, [first, second], seed=0)


def test_equal_and_reversed_rankings_are_certain() -> None:
    up = [float(n) for n in range(12)]
    assert agreement(up, [up], seed=0)[:3] == pytest.approx((1.0, 1.0, 1.0))
    assert agreement(up, [up[::-1]], seed=0)[:3] == pytest.approx((-1.0, -1.0, -1.0))


def test_more_architectures_narrow_the_interval() -> None:
    rng = np.random.default_rng(1)
    widths = []
    for count in (12, 200):
        left = rng.normal(size=count)
        found = agreement(left.tolist(), [(left + rng.normal(size=count)).tolist()], seed=0)
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize("left", [[1.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
def test_too_few_or_equal_scores_have_no_tau(left: list[float]) -> None:
    assert agreement(left, [[0.1, 0.2, 0.3, 0.4][: len(left)]], seed=0) == (None, None, None, len(left))
