import math

import pytest

from nas.errors import SearchError
from nas.limits.limits import Cost, Limits, written


def test_a_limit_itself_is_allowed() -> None:
    limits = Limits(parameters=100, macs=1e3, latency_ms=0.5)
    assert limits.broken(Cost(100, 1000, 0.5)) == []
    assert limits.broken(Cost(101, 1000, 0.51)) == ["parameters", "latency_ms"]
    assert Limits(macs=10).broken(Cost(10**9, 10, None)) == []
    assert limits.ratios(Cost(50, 1000, 1.0)) == {"parameters": 0.5, "macs": 1.0, "latency_ms": 2.0}


@pytest.mark.parametrize("value", [-1, math.inf, math.nan])
def test_impossible_limits_are_refused(value: float) -> None:
    with pytest.raises(SearchError, match=r"search\.max_latency must be above 0"):
        Limits(latency_ms=value)


def test_what_is_above_a_limit_is_never_written_like_it() -> None:
    for amount in (2.0001, 2.00049, 2.4):
        assert written("latency_ms", amount) != written("latency_ms", 2.0)
    assert written("latency_ms", 1.9999) == "2 ms"
