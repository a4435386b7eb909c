"""Auto takes one of the strategies by the number of images, and says so."""

from dataclasses import replace

import pytest

from nas.settings import SEARCH_STRATEGIES, JobSettings
from nas.strategies.auto import RULES, choose_strategy, relative_cost, resolved
from search_spaces import macro_space

AUTO = JobSettings(space=macro_space(2), strategy="auto")


@pytest.mark.parametrize(
    ("train", "val", "strategy"),
    [
        (300, 100, "enas"),
        (1500, 400, "enas"),
        (2000, 500, "surrogate"),
        (5000, 1000, "surrogate"),
        (10**5, 2000, "enas"),
    ],
)
def test_the_number_of_images_decides(train: int, val: int, strategy: str) -> None:
    chosen = choose_strategy(AUTO, train, val)
    assert chosen.strategy == strategy
    assert f"search.strategy auto takes {strategy}" in chosen.sentence
    assert f"{train:,} training images" in chosen.sentence
    assert resolved(AUTO, train, val) == (replace(AUTO, strategy=strategy), chosen.sentence)


def test_a_dearer_training_makes_short_trainings_too_dear() -> None:
    longer = replace(AUTO, trial_epochs=12)
    assert relative_cost(longer, 5000, 1000) == pytest.approx(4 * relative_cost(AUTO, 5000, 1000))
    assert choose_strategy(longer, 5000, 1000).strategy == "enas"


def test_what_is_named_stays() -> None:
    for strategy in ("enas", "random", "local"):
        named = replace(AUTO, strategy=strategy)
        assert resolved(named, 5000, 1000) == (named, "")


def test_the_last_rule_always_holds_and_all_name_a_strategy() -> None:
    assert {rule.strategy for rule in RULES} <= set(SEARCH_STRATEGIES)
    assert RULES[-1].steps == 0
    assert choose_strategy(AUTO, 2, 2).strategy == RULES[-1].strategy
