"""Conditions against Python's own logic, Kleene's tables, and what a user may type."""

import itertools
import random
from collections.abc import Callable, Mapping
from typing import TypeVar

import pytest

from deployment.rules.conditions import (
    All,
    ConditionError,
    Leaf,
    Node,
    Not,
    Some,
    Truth,
    by_label,
    by_scores,
    evidence,
    leaves,
    parse_condition,
    truth,
)

T = TypeVar("T")


def bind(text: str, attribute: str, value: str | None, operator: str, limit: float | None) -> Leaf:
    return Leaf(text, attribute, value or "yes", operator, limit)


def parsed(text: str) -> Node:
    return parse_condition(text, bind)


def of(told: Mapping[str, T]) -> Callable[[Leaf], T]:
    return lambda leaf: told[leaf.attribute]


def found(score: float, value: str = "yes") -> dict[str, object]:
    return {"value": value, "scores": {"no": 1 - score, "yes": score}, "threshold": 0.5, "calibrated": None}


def test_random_conditions_have_the_truth_that_python_gives_them() -> None:
    rng = random.Random(0)
    names = ["bald", "night-time", "age.group"]

    def written(depth: int) -> str:
        kind = rng.choice(["leaf", "not", "and", "or", "()"]) if depth else "leaf"
        if kind == "leaf":
            return rng.choice(names)
        if kind == "not":
            return f"not {written(depth - 1)}"
        if kind == "()":
            return f"({written(depth - 1)})"
        return f"{written(depth - 1)} {kind} {written(depth - 1)}"

    for _ in range(200):
        text = written(4)
        node = parsed(text)
        for values in itertools.product([False, True], repeat=3):
            told = dict(zip(names, values, strict=True))
            plain = text.replace("night-time", "night").replace("age.group", "age")
            expected = bool(eval(plain, {"bald": values[0], "night": values[1], "age": values[2]}))  # noqa: S307 - our own text, drawn above
            assert truth(node, of(told)) is expected, text
            assert evidence(node, of({name: float(bool(value)) for name, value in told.items()})) == float(expected), (
                text
            )


def test_the_tables_of_kleene() -> None:
    order: list[Truth] = [False, None, True]
    a, b = Leaf("a", "a", "yes", "is"), Leaf("b", "b", "yes", "is")
    for left, right in itertools.product(order, repeat=2):
        told = {"a": left, "b": right}
        both, either = truth(All((a, b)), of(told)), truth(Some((a, b)), of(told))
        assert both is order[min(order.index(left), order.index(right))]
        assert either is order[max(order.index(left), order.index(right))]
        assert truth(Not(a), of(told)) is order[2 - order.index(left)]


def test_every_kind_of_question_is_read() -> None:
    node = parsed("""age [ "very old" ]>=.8 AND 'not' is not child or Not(hat<1e-1)""")
    assert [(leaf.attribute, leaf.value, leaf.operator, leaf.limit) for leaf in leaves(node)] == [
        ("age", "very old", ">=", 0.8),
        ("not", "child", "is", None),
        ("hat", "yes", "<", 0.1),
    ]
    assert [leaf.text for leaf in leaves(node)] == ['age [ "very old" ]>=.8', "not is child", "hat<1e-1"]
    assert isinstance(node, Some)
    assert isinstance(node.parts[0], All)
    assert isinstance(node.parts[1], Not)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("bald nad hat", "after 'bald' stands 'nad': write 'and', 'or' or the end"),
        ("bald and", "after 'bald and' nothing follows: write an attribute"),
        ("and bald", "at the beginning stands 'and'"),
        ("(bald or hat", r"nothing follows: write '\)'"),
        ("bald)", r"stands '\)'"),
        ("bald >= high", "stands 'high': write a number"),
        ("bald >= nan", "write a number"),
        ("bald >= 1.5", "between 0 and 1"),
        ("bald > 0", "between 0 and 1"),
        ("0.5 < bald", "stands 'bald': write a number"),
        ("bald == yes", "write 'is' or 'is not'"),
        ("bald = 0.5", "write 'is' or 'is not'"),
        ("bald != yes", "write 'is' or 'is not'"),
        ("age[old]", "write one of >=, >, <=, <"),
        ("age[old", r"write '\]'"),
        ("bald is", "write a value"),
        ('bald is "yes', "close the quotes"),
        ("(" * 500 + "bald" + ")" * 500, "nested more than 40"),
        ("not " * 500 + "bald", "nested more than 40"),
        ("__import__('os')", "stands '\\('"),
    ],
)
def test_what_cannot_be_read_is_quoted(text: str, said: str) -> None:
    with pytest.raises(ConditionError, match=said):
        parsed(text)


@pytest.mark.parametrize(
    ("operator", "score", "band", "expected"),
    [
        (">=", 0.8, 0.0, True),
        (">", 0.8, 0.0, False),
        ("<=", 0.8, 0.0, True),
        ("<", 0.8, 0.0, False),
        (">=", 0.84, 0.05, None),
        (">=", 0.76, 0.05, None),
        (">=", 0.86, 0.05, True),
        ("<", 0.74, 0.05, True),
        ("<", 0.86, 0.05, False),
        (">=", float("nan"), 0.0, None),
    ],
)
def test_comparisons_and_their_band(operator: str, score: float, band: float, expected: Truth) -> None:
    leaf = Leaf("bald", "bald", "yes", operator, 0.8)
    assert by_scores(leaf, {"bald": found(score)}, band) is expected


def test_calibrated_scores_are_compared_and_the_predicted_value_is_followed() -> None:
    row = {"bald": {**found(0.9), "calibrated": {"no": 0.4, "yes": 0.6}}}
    assert by_scores(Leaf("", "bald", "yes", ">=", 0.8), row, 0.0) is False
    is_bald = Leaf("", "bald", "yes", "is", 0.58)
    assert by_scores(is_bald, row, 0.0) is True
    assert by_scores(is_bald, row, 0.05) is None
    assert by_scores(Leaf("", "bald", "no", "is", 0.42), row, 0.0) is False
    assert by_scores(Leaf("", "hat", "yes", "is", 0.5), row, 0.0) is None


def test_of_three_values_the_best_of_the_others_is_the_limit() -> None:
    scores = {"child": 0.2, "adult": 0.38, "old": 0.42}
    row = {"age": {"value": "old", "scores": scores, "threshold": None, "calibrated": None}}
    for value, band, expected in [("old", 0.0, True), ("old", 0.1, None), ("adult", 0.0, False), ("child", 0.1, False)]:
        assert by_scores(Leaf("", "age", value, "is"), row, band) is expected


def test_labels_answer_the_same_questions() -> None:
    for operator, label, expected in [
        (">=", "yes", True),
        (">", "no", False),
        ("is", "yes", True),
        ("<", "yes", False),
        ("<=", "no", True),
    ]:
        assert by_label(Leaf("", "bald", "yes", operator, 0.3), {"bald": label}) is expected


def test_evidence_is_the_weakest_of_and_the_strongest_of_or() -> None:
    scores = {"a": 0.9, "b": 0.2, "c": 0.6}
    for text, expected in [
        ("a and c", 0.6),
        ("a or b", 0.9),
        ("not b", 0.8),
        ("not (a and b)", 0.8),
        ("a and not c", 0.4),
    ]:
        assert evidence(parsed(text), of(scores)) == pytest.approx(expected)
