"""Rules: the file and its mistakes, who wins, cool-downs, and what a simulation counts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import BundleError, RulesError
from deployment.rules import Rules
from deployment.rules.simulation import share, simulate

CONTRACTS: dict[str, dict[str, Any]] = {
    "holding_baby": {"values": ["no", "yes"], "threshold": 0.4},
    "night": {
        "values": ["no", "yes"],
        "threshold": 0.5,
        "calibration": {"method": "isotonic", "curves": [{"scores": [0.0, 1.0], "calibrated": [0.2, 0.6]}]},
    },
    "age": {"values": ["child", "adult", "old"], "threshold": None},
}


def read(folder: Path, text: str) -> Rules:
    (folder / "rules.toml").write_text(text, encoding="utf-8")
    return Rules.read(folder / "rules.toml", CONTRACTS)


def picture(baby: float = 0.1, night: float = 0.1, age: str = "adult") -> dict[str, Any]:
    def binary(score: float, threshold: float) -> dict[str, Any]:
        value = "yes" if score >= threshold else "no"
        return {"value": value, "scores": {"no": 1 - score, "yes": score}, "threshold": threshold, "calibrated": None}

    ages = {value: 0.8 if value == age else 0.1 for value in CONTRACTS["age"]["values"]}
    return {
        "holding_baby": binary(baby, 0.4),
        "night": {**binary(night, 0.5), "calibrated": {"no": 0.8 - 0.4 * night, "yes": 0.2 + 0.4 * night}},
        "age": {"value": age, "scores": ages, "threshold": None, "calibrated": None},
    }


TEXT = """
band = 0.05

[[rule]]
name = "diapers"
when = "holding_baby >= 0.8 and not night"
action = "push diapers"
weight = 2
priority = 1
cooldown = 60

[[rule]]
when = "age is old"
action = "push tea"

[[rule]]
name = "toys"
when = "holding_baby >= 0.3"
action = "push toys"
band = 0
"""


def test_the_highest_priority_then_weight_times_evidence_then_the_first_wins(tmp_path: Path) -> None:
    rules = read(tmp_path, TEXT)
    assert rules.attributes == ("age", "holding_baby", "night")
    action = rules.decide(picture(baby=0.9, age="old"), 0.0)
    assert action is not None
    assert (action.action, action.rule, action.priority, action.weight) == ("push diapers", "diapers", 1, 2.0)
    assert action.evidence == pytest.approx(0.76)  # not night: one minus 0.24, below the baby's 0.9
    conditions = json.loads(json.dumps(action.to_json()))["conditions"]
    assert [(one["text"], one["holds"]) for one in conditions] == [("holding_baby >= 0.8", True), ("night", False)]
    assert conditions[1]["score"] == pytest.approx(0.24)
    assert conditions[1]["limit"] == pytest.approx(0.4)  # its threshold 0.5, calibrated
    # On cool-down: of the two others the better evidence, 0.9 against 0.8.
    second = rules.decide(picture(baby=0.9, age="old"), 1.0)
    assert second is not None
    assert second.action == "push toys"
    equal = read(tmp_path, TEXT.replace("0.3", "0.2")).decide(picture(baby=0.8, night=0.9, age="old"), 0.0)
    assert equal is not None
    assert equal.action == "push tea"


def test_a_rule_fires_only_when_it_is_surely_true(tmp_path: Path) -> None:
    rules = read(tmp_path, TEXT)
    holds = [one.holds for one in rules.judge(picture(baby=0.82))]
    assert holds == [None, False, True]  # within 0.05 of 0.8; the third rule has no band
    assert rules.decide({}, 0.0) is None
    assert [one.holds for one in rules.judge({})] == [None, None, None]
    assert rules.judge(picture(baby=0.82, night=0.9))[0].holds is False  # night decides, however unsure the baby


def test_an_action_cools_down_by_the_clock_that_is_passed_in(tmp_path: Path) -> None:
    rules = read(
        tmp_path, TEXT + '\n[[rule]]\nname = "again"\nwhen = "holding_baby"\naction = "push diapers"\npriority = 1\n'
    )
    taken = [rules.decide(picture(baby=0.9), now) for now in (100.0, 159.9, 219.8, 279.8)]
    # The rule without a cool-down may take the same action; that resets the clock of the action.
    assert [one.rule if one else None for one in taken] == ["diapers", "again", "again", "diapers"]
    first = read(tmp_path, TEXT)
    assert [bool(first.decide(picture(age="old"), now)) for now in (0.0, 0.0)] == [True, True]


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    text = """# rules
bands = 0.1
[[rule]]
when = "holding_babe >= 0.8"
action = "a"
weight = 0

[[rule]]
when = '''
night and
age >= 0.5
'''
action = "b"
cooldown = "long"
[[rule]]
when = "age is olde"
[[rule]]
action = " "
when = 5
priority = 1.5
band = 0.5
[[rule]]
when = "night"
action = "a"
name = "one"
[[rule]]
when = "night is yes"
action = "c"
name = "one"
"""
    with pytest.raises(RulesError) as caught:
        read(tmp_path, text)
    assert [line for line, _ in caught.value.problems] == [2, 4, 6, 9, 14, 15, 16, 18, 19, 20, 21, 29]
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'rules.toml'}: 12 problems: line 2: there is no setting 'bands'")
    for said in (
        "line 4: the bundle has no attribute 'holding_babe': did you mean 'holding_baby'?",
        "line 6: weight = 0 is not allowed: write a number above 0",
        "line 9: age has 3 values (child, adult, old): name one, as in 'age[child] >= 0.8'",
        "line 15: the rule has no 'action': add one",
        "line 16: age has no value 'olde': did you mean 'old'?",
        "line 29: the rule of line 23 is called 'one' too: give one of them another name",
    ):
        assert said in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: there is no rule"),
        ("rule = 3", "line 1: 'rule' is no list of tables"),
        ('[[rule]]\nwhen = "night"\naction = "a" x', "line 3: Expected newline"),
        ('[[rule]]\nwhen = "night', "line 2: "),
        ('[[rule]]\nwhen = "night"\naction = "a"\nweight = true', "line 4: weight = True"),
        ('[[rule]]\nwhen = "night"\naction = "a"\nweight = inf', "line 4: weight = inf"),
        ('[[rule]]\nwhen = "night"\naction = "a"\nweight = 1' + "0" * 400, "line 4: weight = 1000"),
        (
            'band = 0.05\n[[rule]]\naction = "a"\nwhen = "holding_baby >= 0.96"',
            "line 4: a band of 0.05 around 0.96 .* 0.04,",
        ),
        (
            '[[rule]]\nwhen = "not night"\naction = "a"\nband = 0.45',
            r"line 4: a band of 0.45 around 0.4 \(night\) .* most 0.4",
        ),
        ('band = -1\n[[rule]]\nwhen = "night"\naction = "a"', "line 1: band = -1"),
    ],
)
def test_a_file_that_is_no_list_of_rules(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RulesError, match=said):
        read(tmp_path, text)


def test_a_missing_file_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no file"):
        Rules.read(tmp_path / "none.toml", CONTRACTS)
    (tmp_path / "rules.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="cannot be read as text"):
        Rules.read(tmp_path / "rules.toml", CONTRACTS)


def test_a_simulation_by_hand(tmp_path: Path) -> None:
    rules = read(tmp_path, TEXT).rules
    images = [
        (picture(baby=0.9), {"holding_baby": "yes", "night": "no"}),  # diapers, rightly
        (picture(baby=0.9), {"holding_baby": "no", "night": "yes"}),  # diapers, wrongly
        (picture(baby=0.9), {"holding_baby": "yes"}),  # diapers, nobody knows
        (picture(baby=0.82), {"holding_baby": "yes", "night": "no"}),  # too close: toys instead
        (picture(baby=0.1), {"holding_baby": "yes", "night": "no"}),  # missed
        (picture(baby=0.1), {"holding_baby": "no"}),  # it could not have been right, but that is no judgement
    ]
    record = simulate(rules, images)
    assert record["actions"] == {"push diapers": 3, "push toys": 1}
    assert (record["images"], record["pushes"], record["no_action"], record["abstained"]) == (6, 4, 2, 0)
    assert (record["false_pushes"]["part"], record["false_pushes"]["whole"]) == (1, 5)
    diapers, tea, toys = record["rules"]
    assert (diapers["fires"], diapers["abstains"], diapers["pushes"]) == (3, 1, 3)
    assert (diapers["precision"]["part"], diapers["precision"]["whole"]) == (1, 2)
    assert (diapers["recall"]["part"], diapers["recall"]["whole"]) == (1, 3)
    assert (diapers["false_alarms"]["part"], diapers["false_alarms"]["whole"]) == (1, 1)
    assert (tea["fires"], tea["precision"], tea["recall"]) == (0, None, None)
    assert (toys["fires"], toys["pushes"]) == (4, 1)
    every = simulate(rules, images, every=25.0)
    assert every["actions"] == {"push diapers": 1, "push toys": 3}  # 60 seconds span three images
    assert every["rules"][0]["fires"] == 3
    unsure = simulate(rules[:1], images[3:5])
    assert (unsure["abstained"], unsure["no_action"]) == (1, 2)
    json.dumps(record)


def test_intervals_are_wilsons() -> None:
    # Worked by hand: (p + z2/2n +- z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n) with n = 10, p = 0.1.
    found = share(1, 10)
    assert found is not None
    assert [found["low"], found["high"]] == pytest.approx([0.01788, 0.40415], abs=1e-5)
    assert share(0, 50) == {"value": 0.0, "low": 0.0, "high": pytest.approx(0.07135, abs=1e-4), "part": 0, "whole": 50}
    assert share(0, 0) is None


def test_rules_need_numpy_alone() -> None:
    script = "import sys; sys.modules['onnxruntime'] = sys.modules['PIL'] = None; import deployment.rules.simulation"
    subprocess.run([sys.executable, "-c", script], check=True)
