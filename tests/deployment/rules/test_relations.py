"""Relations between a bundle's attributes: what breaks them, and the repair that the scores allow most cheaply."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployment.errors import BundleError, RulesError
from deployment.rules import Relations
from deployment.rules.relations import MOST_TRIED, BundleRelation, Label, prices_of

CONTRACTS: dict[str, Any] = {
    **{name: {"values": ["no", "yes"], "threshold": 0.4} for name in ("baby", "child", "holding")},
    "age": {"values": ["young", "adult", "old"], "threshold": None},
}
TEXT = """steps = 3
[[relations]]
exclude = ["baby", "child", "age=adult"]

[[relations]]
imply = ["holding", "age=adult"]

[[relations]]
exclude = ["hat", "helmet"]
"""


def relations(folder: Path, text: str, *, repair: bool = False) -> Relations:
    (folder / "relations.toml").write_text(text)
    return Relations.read(folder / "relations.toml", CONTRACTS, repair=repair)


def answers(**scores: Any) -> dict[str, Any]:
    """As `Runtime.decide` gives them."""
    decided = {}
    for name, score in scores.items():
        values, threshold = CONTRACTS[name]["values"], CONTRACTS[name]["threshold"]
        table = dict(zip(values, (1 - score, score) if threshold else score, strict=True))
        value = values[score >= threshold] if threshold else max(table, key=table.__getitem__)
        decided[name] = {"value": value, "scores": table, "threshold": threshold, "calibrated": None}
    return decided


def test_what_cannot_be_is_said_and_nothing_changed(tmp_path: Path) -> None:
    held = relations(tmp_path, TEXT)
    assert held.attributes == ("baby", "child", "age", "holding")  # of the third relation the bundle has neither
    found = answers(baby=0.9, child=0.5, holding=0.7, age=(0.6, 0.3, 0.1))
    judged, said = held.judged(found)
    assert judged == found
    assert said == {"broken": ["baby and child", "holding without age=adult"], "changed": {}}
    assert held.judged({"holding": found["holding"]})[1]["broken"] == []  # what was not asked breaks nothing


def test_what_is_least_sure_is_changed(tmp_path: Path) -> None:
    held = relations(tmp_path, TEXT, repair=True)
    found = answers(baby=0.9, child=0.5, holding=0.1, age=(0.6, 0.3, 0.1))
    judged, said = held.judged(found)
    assert said == {"broken": ["baby and child"], "changed": {"child": {"from": "yes", "to": "no"}}}
    assert judged["child"] == {**found["child"], "value": "no"}
    assert found["child"]["value"] == "yes"  # what was given is as it was
    surely_held = held.judged(answers(baby=0.1, child=0.1, holding=0.99, age=(0.5, 0.4, 0.1)))[1]["changed"]
    assert surely_held == {"age": {"from": "young", "to": "adult"}}


def test_a_repair_is_the_cheapest_of_all_states() -> None:
    """Against every state of five attributes, one of them of three values; where none is possible, nothing changes."""
    rng = np.random.default_rng(0)
    names = ("a", "b", "c", "d")
    labels = [Label(name, name, "yes") for name in names] + [Label(f"e={value}", "e", value) for value in "xyz"]
    mended = 0
    for _ in range(150):
        some = []
        for kind in rng.choice(["exclude", "imply"], size=3):
            some.append(BundleRelation(str(kind), tuple(labels[i] for i in rng.permutation(7)[: rng.integers(2, 4)])))
        decided: dict[str, dict[str, Any]] = {}
        for name in names:
            score = float(rng.random())
            scores = {"no": 1 - score, "yes": score}
            decided[name] = {"value": "yes" if score >= 0.4 else "no", "scores": scores, "threshold": 0.4}
        table = dict(zip("xyz", rng.dirichlet([1, 1, 1]).tolist(), strict=True))
        decided["e"] = {"value": max(table, key=table.__getitem__), "scores": table, "threshold": None}
        judged, said = Relations(tuple(some), repair=True).judged(decided)
        prices = {name: prices_of(answer) for name, answer in decided.items()}
        best = math.inf
        for values in itertools.product(*(answer["scores"] for answer in decided.values())):
            state = dict(zip(decided, values, strict=True))
            if not any(each.broken_by(state) for each in some):
                best = min(best, sum(prices[name][value] for name, value in state.items()))
        state = {name: answer["value"] for name, answer in judged.items()}
        if math.isinf(best):
            assert said["changed"] == {}
            continue
        mended += bool(said["changed"])
        assert not any(each.broken_by(state) for each in some)
        assert sum(prices[name][value] for name, value in state.items()) == pytest.approx(best)
    assert mended > 30


def test_many_labels_end_in_time() -> None:
    many = [Label(f"n{number}", f"n{number}", "yes") for number in range(40)]
    scores = {"no": 0.1, "yes": 0.9}
    decided = {label.attribute: {"value": "yes", "scores": scores, "threshold": 0.5} for label in many}
    judged, _ = Relations((BundleRelation("exclude", tuple(many)),), repair=True).judged(decided)
    assert [answer["value"] for answer in judged.values()].count("yes") == 1
    assert MOST_TRIED < 1e5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[relations]]\nexclude = ['baby']", "line 1: a relation has exclude"),
        ("\n[[relations]]\nexclude = ['baby', 'child']\nimply = ['baby', 'child']", "line 2: a relation has exclude"),
        ("[[relations]]\nimply = ['baby', 'age']", "'age' has 3 values: name one, such as 'age=young'"),
        ("[[relations]]\nimply = ['baby', 'age=ancient']", "no value 'ancient': it has young, adult, old"),
        ("relations = 3", "line 1: a relation has exclude"),
    ],
)
def test_every_mistake_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RulesError, match=said):
        relations(tmp_path, text)


def test_files_that_hold_none(tmp_path: Path) -> None:
    for text in ("", "[[relations]]\nexclude = ['hat', 'baby']"):
        with pytest.raises(BundleError, match=r"no \[\[relations\]\] about baby, child, holding, age: name another"):
            relations(tmp_path, text)
    with pytest.raises(BundleError, match="cannot be read as TOML"):
        relations(tmp_path, "[[relations")
