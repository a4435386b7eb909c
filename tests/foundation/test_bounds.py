"""Bounds of settings: what each refuses, in which words."""

from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from foundation.bounds import (
    Count,
    Factor,
    Index,
    NonNegative,
    OneOf,
    Pair,
    Part,
    Positive,
    Share,
    Threshold,
    check_fields,
)


@dataclass(frozen=True)
class Every:
    """One field of each kind."""

    count: Count = 1
    pair: Pair = 2
    index: Index = 0
    positive: Positive = 1e-9
    non_negative: NonNegative = 0.0
    share: Share = 0.0
    part: Part = 1.0
    threshold: Threshold = 1.0
    factor: Factor = 1.0
    name: Annotated[str, OneOf(("one", "two"))] = "two"
    free: int = 0

    def __post_init__(self) -> None:
        check_fields(self, KeyError, "every.")


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("count", 0, "be at least 1"),
        ("pair", 1, "be at least 2"),
        ("index", -1, "be at least 0"),
        ("positive", 0.0, "be above 0"),
        ("non_negative", float("nan"), "be at least 0"),
        ("share", 1.0, "lie in [0, 1)"),
        ("part", 1.5, "lie between 0 and 1"),
        ("threshold", 0.0, "be above 0 and at most 1"),
        ("factor", 0.5, "be at least 1"),
        ("name", "three", "be one of one, two"),
    ],
)
def test_every_kind_of_bound_is_kept_and_worded(field: str, value: Any, rule: str) -> None:
    assert Every(free=-5).free == -5
    with pytest.raises(KeyError) as caught:
        Every(**{field: value})
    assert caught.value.args[0] == f"every.{field} must {rule}, is {value!r}."
