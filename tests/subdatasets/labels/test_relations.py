"""Relations between labels: who breaks them, and which a table keeps beyond chance."""

from pathlib import Path

import numpy as np
import pytest

from subdatasets.errors import DataError
from subdatasets.labels.relations import Relation, checked_relations, suggest_relations
from subdatasets.labels.table import LabelTable
from tests.subdatasets.labels.test_table import table_of

AGES = ("baby", "child", "adult")


def test_an_image_breaks_a_relation_by_what_is_known_alone() -> None:
    table = table_of([[1, 1, 0], [1, 0, 0], [1, -1, 0], [-1, 1, 1], [0, 1, -1], [1, 1, 1]])
    exclude = Relation("exclude", ("a", "b", "c"))
    assert exclude.broken_by(table).tolist() == [True, False, False, True, False, True]
    assert exclude.shown(table, 3) == "b and c"
    imply = Relation("imply", ("a", "b", "c"))
    assert imply.broken_by(table).tolist() == [True, True, True, False, False, False]
    assert imply.shown(table, 1) == "a without b and c"
    assert imply.shown(table, 2) == "a without c"
    assert (str(exclude), str(imply)) == ("a, b, c exclude one another", "a implies b and c")
    with pytest.raises(DataError, match=r"number 2 names 'd', which is no label here; there are a, b, c"):
        checked_relations([exclude, Relation("imply", ("a", "d"))], table.labels)


def people(images: int, *, seed: int = 0) -> LabelTable:
    """Three ages that exclude one another, held by adults alone, hats at random; a third of the hats is unknown."""
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 3, images)
    holding = (age == 2) & (rng.random(images) < 0.4)
    hat = np.where(rng.random(images) < 1 / 3, -1, rng.random(images) < 0.5)
    states = np.stack([age == 0, age == 1, age == 2, holding, hat], axis=1).astype(np.int8)
    names = tuple(Path(f"{number}.png") for number in range(images))
    return LabelTable(names, (*AGES, "holding_baby", "hat"), states, ("",) * images)


def test_a_table_suggests_what_it_keeps() -> None:
    found = {(each.relation.kind, each.relation.labels): each for each in suggest_relations(people(300))}
    exclude = found.pop(("exclude", AGES))
    assert (exclude.images, exclude.broken) == (300, 0)
    assert exclude.expected == pytest.approx(100, rel=0.1)  # three pairs of 300 / 9
    assert found.pop(("exclude", ("baby", "child", "holding_baby"))).broken == 0
    imply = found.pop(("imply", ("holding_baby", "adult")))
    assert (imply.images, imply.broken) == (int((people(300).states[:, 3] == 1).sum()), 0)
    assert found == {}


def test_a_few_mistakes_are_no_objection_and_few_images_no_suggestion() -> None:
    table = people(300)
    states = table.states.copy()
    states[:1, :3] = 1
    kept = {
        each.relation.labels: each
        for each in suggest_relations(LabelTable(table.images, table.labels, states, table.splits))
    }
    assert kept[AGES].broken == 3
    states[:20, :3] = 1
    many = suggest_relations(LabelTable(table.images, table.labels, states, table.splits))
    assert AGES not in {each.relation.labels for each in many}
    assert suggest_relations(people(40)) == []


def test_values_of_one_attribute_are_not_suggested() -> None:
    table = people(300).select(AGES)
    values = LabelTable(table.images, tuple(f"age={name}" for name in AGES), table.states, table.splits)
    assert suggest_relations(values) == []
