"""The verdict says what to ship, what it costs, what is next best, and whether to label more, with the reason."""

from dataclasses import replace

import pytest

from nas.job.advice import Facts, verdict
from nas.job.gains import Gain, Interval

FACTS = Facts(
    attribute="bald",
    key="searched",
    costs="1,890 parameters (99.1% fewer than the tail), 30,000 MACs",
    metric="auroc",
    val=0.95,
    score=Interval(0.94, 0.92, 0.96),
    images=400,
    others={"tail": 0.93, "linear_probe": 0.9},
    other_costs={"tail": "210,000 parameters", "linear_probe": "82 parameters"},
    gains={"tail": Gain(0.01, 0.002, 0.018, 0.003, 0.017), "linear_probe": Gain(0.04, 0.02, 0.06, 0.02, 0.06)},
    search_gain=Gain(0.003, -0.01, 0.016, -0.01, 0.016),
    random=4,
)


def test_what_is_ahead_is_shipped() -> None:
    told, advice = verdict(FACTS)
    assert told == (
        "Ship the searched branch: test AUROC 0.9400 [0.9200, 0.9600], 1,890 parameters (99.1% fewer than the tail), "
        "30,000 MACs; the next best is the fine-tuned tail, 0.9300 with 210,000 parameters (difference +0.0100 "
        "[+0.0020, +0.0180]). It is ahead of the next best beyond the interval. Searching gained +0.0030 "
        "[-0.0100, +0.0160] over the best of 4 random architectures trained alike: not told apart."
    )
    assert advice.record(FACTS) == {
        "action": "ship",
        "what": "searched",
        "reason": "it is ahead of the next best beyond the interval",
        "next": "tail",
    }


@pytest.mark.parametrize("low", [-0.0145, -0.2])
def test_not_shown_to_be_better_is_no_advice_to_take_the_other(low: float) -> None:
    gain = Gain(0.0289, low, 0.0722, 0.0243, 0.0390)
    told, advice = verdict(replace(FACTS, others={"linear_probe": 0.91}, gains={"linear_probe": gain}))
    assert advice.action == "ship"
    assert told.startswith("Ship the searched branch: ")
    assert "val chose it, and test does not tell it apart from the next best" in advice.reason
    cheap = replace(FACTS, others={"linear_probe": 0.91}, gains={"linear_probe": gain}, cheapest=True)
    assert "it is the cheapest within the margin of the best on val, and test does not" in verdict(cheap)[1].reason
    assert "--choice" not in told
    assert "use the probe" not in told


def test_how_many_test_images_would_tell_is_said_where_images_are_what_lacks() -> None:
    gains = {"tail": Gain(0.01, -0.01, 0.03, -0.009, 0.029)}
    assert "; about 1,600 test images would, if" in verdict(replace(FACTS, gains=gains))[1].reason
    of_seeds = {"tail": Gain(0.01, -0.01, 0.03, 0.009, 0.011)}
    assert "test images would" not in verdict(replace(FACTS, gains=of_seeds))[1].reason
    nothing = {"tail": Gain(0.0001, -0.02, 0.02, -0.02, 0.02)}
    assert "nor would any number" in verdict(replace(FACTS, gains=nothing))[1].reason


def test_what_test_shows_to_be_better_is_named_with_its_cost_and_the_command() -> None:
    gains = FACTS.gains or {}
    worse = {**gains, "tail": Gain(-0.02, -0.03, -0.01, -0.03, -0.01)}
    told, advice = verdict(replace(FACTS, gains=worse))
    assert advice.action == "ship"
    assert "on test the fine-tuned tail is better beyond the interval (0.0200), for 210,000 parameters" in advice.reason
    assert "`graftnet graft bald --choice tail`" in told


def test_chance_and_a_wide_interval_ask_for_labels() -> None:
    told, advice = verdict(replace(FACTS, score=Interval(0.6, 0.45, 0.75)))
    assert advice.action == "label more"
    assert told.startswith("Label more before you ship the searched branch: test AUROC 0.6000 [0.4500, 0.7500]")
    told, advice = verdict(replace(FACTS, score=Interval(0.85, 0.78, 0.92)))
    assert advice.action == "ship, and label more"
    assert "the interval is 0.14 wide: four times as many test images, 1,600, would about halve it" in advice.reason
    assert told.startswith("Ship the searched branch, and label more: ")


def test_without_a_test_split_there_is_no_figure_to_ship_by() -> None:
    told, advice = verdict(replace(FACTS, score=None, others={}, gains={}, search_gain=None))
    assert advice.action == "label more"
    assert told == (
        "Label test images before you ship the searched branch (val AUROC 0.9500). There is no test split, so nothing "
        "is said of how good the searched branch is beyond val, which chose it."
    )


def test_any_rival_has_a_name_and_images_alone_are_said_to_be_alone() -> None:
    alone = replace(FACTS, key="local", others={}, gains={}, score=Interval(0.9, 0.88, 0.92, "images"))
    told, advice = verdict(replace(alone, search_gain=None))
    assert told.startswith("Ship the best branch of local: ")
    assert "nothing was trained twice" in told
    assert advice.record(alone)["next"] is None
    assert "Nothing else was trained to compare it with." in told
