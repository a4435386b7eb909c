from dataclasses import replace

import numpy as np
import pytest

from search_spaces import Architecture, Decision, Space, SpaceError, macro_space, micro_space

TOY = Space("toy", {}, (Decision("size", (1, 2, 3), "width"), Decision("on", (False, True)), Decision("name", ("a",))))
SPACES = [TOY, macro_space(1), macro_space(4), macro_space(7, widths=(8,), poolings=("average",)), micro_space(2)]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"{space.name}-{len(space.decisions)}")
def test_random_architectures_round_trip_through_indices_json_and_nni(space: Space) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        architecture = space.random(rng)
        indices = space.indices(architecture)
        assert space.architecture(indices) == architecture
        assert space.architecture(np.array(indices).tolist()) == architecture
        assert Architecture.from_json(architecture.to_json()) == architecture
        space.validate(architecture)
        assert space.mutable.freeze(dict(architecture.choices)) == dict(architecture.choices)


def test_all_index_tuples_give_all_architectures_once() -> None:
    every = {TOY.architecture((i, j, 0)) for i in range(3) for j in range(2)}
    assert len(every) == TOY.size == 6


def test_nni_holds_the_same_decisions_and_its_samples_are_legal() -> None:
    space = macro_space(3)
    leaves = space.mutable.simplify()
    assert {name: tuple(leaf.values) for name, leaf in leaves.items()} == {d.name: d.choices for d in space.decisions}
    assert list(leaves) == [decision.name for decision in space.decisions]
    for seed in range(20):
        sample = space.mutable.random(random_state=np.random.RandomState(seed))
        settings = space.random(np.random.default_rng(0)).settings
        space.validate(Architecture("macro", settings, tuple(sample.items())))


@pytest.mark.parametrize("wrong", [None, "nothing", 17])
def test_what_nni_refuses_is_refused_at_every_decision_by_name(wrong: str | int | None) -> None:
    space = macro_space(3)
    good = space.random(np.random.default_rng(3))
    for decision in space.decisions:
        choices = dict(good.choices)
        if wrong is None:
            del choices[decision.name]
        else:
            choices[decision.name] = wrong
        assert space.mutable.check_contains(choices) is not None
        with pytest.raises(SpaceError, match=f"decision '{decision.name}'"):
            space.validate(replace(good, choices=tuple(choices.items())))


def test_a_number_is_not_a_truth_value() -> None:
    with pytest.raises(SpaceError, match=r"'on' must be one of \[False, True\], got 1"):
        TOY.validate(Architecture("toy", (), (("size", 1), ("on", 1), ("name", "a"))))


def test_an_architecture_of_another_space_or_other_settings_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(SpaceError, match="of space 'macro', not 'toy'"):
        TOY.validate(macro_space(2).random(rng))
    with pytest.raises(SpaceError, match="other settings: nodes, widths"):
        macro_space(2, widths=(8,)).validate(macro_space(3).random(rng))


def test_an_unknown_decision_is_refused_by_name() -> None:
    with pytest.raises(SpaceError, match="answers 'colour'"):
        TOY.validate(Architecture("toy", (), (("size", 1), ("on", True), ("name", "a"), ("colour", "red"))))


@pytest.mark.parametrize(
    ("indices", "named"), [((0, 0), "3 decisions, got 2"), ((3, 0, 0), "'size'"), ((0, -1, 0), "'on'")]
)
def test_indices_out_of_range_are_refused(indices: tuple[int, ...], named: str) -> None:
    with pytest.raises(SpaceError, match=named):
        TOY.architecture(indices)


def test_random_is_uniform_over_each_decision_and_given_by_the_generator() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([TOY.indices(TOY.random(rng)) for _ in range(3000)])
    # 5 standard deviations of a binomial share around 1/3 and 1/2
    assert np.abs(np.bincount(drawn[:, 0], minlength=3) / 3000 - 1 / 3).max() < 5 * (2 / 9 / 3000) ** 0.5
    assert abs(drawn[:, 1].mean() - 1 / 2) < 5 * (1 / 4 / 3000) ** 0.5
    space = macro_space()
    assert space.random(np.random.default_rng(7)) == space.random(np.random.default_rng(7))
    assert space.random(np.random.default_rng(7)) != space.random(np.random.default_rng(8))


@pytest.mark.parametrize(
    ("choices", "kind", "named"),
    [((), "choice", "no choices"), ((1, 2, 1), "choice", "twice"), ((1,), "flavour", "kind must be one of")],
)
def test_an_impossible_decision_is_refused(choices: tuple[int, ...], kind: str, named: str) -> None:
    with pytest.raises(SpaceError, match=named):
        Decision("size", choices, kind)


def test_two_decisions_of_one_name_are_refused() -> None:
    with pytest.raises(SpaceError, match="two decisions are named 'size'"):
        Space("toy", {}, (Decision("size", (1,)), Decision("size", (2,))))


def test_without_a_canonical_form_the_key_is_the_choices() -> None:
    first, second = TOY.architecture((0, 1, 0)), TOY.architecture((1, 1, 0))
    assert TOY.key(first) == TOY.key(TOY.architecture((0, 1, 0))) != TOY.key(second)
