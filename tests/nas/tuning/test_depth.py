"""A trial of a depth study, on features of a few images at three depths."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from branches.costs.architecture import branch_costs
from branches.settings import FitSettings
from nas.errors import SearchError
from nas.limits.limits import Limits
from nas.tuning.depth import Depth, DepthObjective
from nas.tuning.depth_knobs import DEPTH_KNOBS, DepthSettings, depth_knobs
from nas.tuning.knobs import Setting, Value, asked
from nas.tuning.study import PrunedError
from search_spaces import Architecture
from search_spaces.registry import space_of
from tests.nas.conftest import make_split

GUIDE = Path(__file__).parents[3] / "docs" / "tuning.md"
SETTING: Setting = {
    "freeze_depth": 2,
    "space": "macro",
    "nodes": 2,
    "width": 8,
    "pooling": "bilinear",
    "learning_rate": 0.01,
    "weight_decay": 0.02,
    "dropout": 0.1,
    "parameter_penalty": 0.01,
}
BASE = DepthSettings(
    retrain=FitSettings(batch_size=32),
    tail=FitSettings(batch_size=32, epochs=5),
    spaces={"macro": {"activations": ("relu",)}, "micro": {"cells": 2, "reductions": (), "depths": (1, 2)}},
    widths=(4, 8),
    poolings=("average", "bilinear"),
    first=SETTING,
    draws=3,
    epochs=3,
)


def tail_of(_pooling: str) -> Callable[[torch.Generator], nn.Module]:
    def build(generator: torch.Generator) -> nn.Module:
        linear = nn.Linear(54, 2)
        nn.init.normal_(linear.weight, generator=generator)
        nn.init.zeros_(linear.bias)
        return nn.Sequential(nn.Flatten(), linear)

    return build


def objective(**changes: Any) -> DepthObjective:
    depths = {number: Depth(make_split(64, number), make_split(60, 10 + number), tail_of) for number in (1, 2, 3)}
    return DepthObjective(depths, replace(BASE, **changes), 0, torch.device("cpu"))


def never(_epoch: int, _best: float, _second: float | None) -> str | None:
    return None


def architecture_of(details: dict[str, Any]) -> Architecture:
    return Architecture.from_json(details["architecture"])


def test_a_trial_repeats_and_says_what_it_found() -> None:
    found = objective()(SETTING, seed=5, watch=never)
    assert found == objective()(SETTING, seed=5, watch=never)
    assert found != objective()(SETTING, seed=6, watch=never)
    details = found.details
    architecture = architecture_of(details)
    assert found.second == details["parameters"] == branch_costs(architecture, (6, 3, 3), 2).parameters
    assert len(details["best"]) == 3
    assert details["best"] == sorted(details["best"])
    assert found.score == details["best"][-1]
    assert details["standard_error"] > 0
    assert len(details["draws"]) == 3
    chosen = max(details["draws"], key=lambda one: one["penalised"])
    assert chosen["parameters"] == details["parameters"]
    space = space_of(architecture)
    assert space.settings["nodes"] == 2
    assert space.settings["widths"] == (8,)
    assert space.settings["poolings"] == ("bilinear",)
    assert space.settings["activations"] == ("relu",)


def test_trials_of_one_space_draw_the_same_architectures_at_every_depth() -> None:
    trials = objective()
    space, other = trials.space(SETTING), trials.space({**SETTING, "width": 4})
    drawn = trials.drawn(space, trials.depths[1].train)
    assert drawn == trials.drawn(space, trials.depths[3].train)
    assert len({space.key(one) for one in drawn}) == 3
    assert [dict(one.choices)["width"] for one in trials.drawn(other, trials.depths[1].train)] == [4, 4, 4]


def test_a_penalty_takes_the_smallest() -> None:
    heavy = objective()({**SETTING, "parameter_penalty": 1e6}, seed=5, watch=never)
    assert heavy.second == min(one["parameters"] for one in heavy.details["draws"])


def test_the_micro_space_and_the_tail_are_trained_too() -> None:
    micro = objective()({**SETTING, "space": "micro"}, seed=1, watch=never)
    assert architecture_of(micro.details).space == "micro"
    tail = {key: value for key, value in SETTING.items() if key in ("freeze_depth", "pooling", "learning_rate")}
    found = objective(with_tail=True)({**tail, "space": "tail", "weight_decay": 0.1}, seed=1, watch=never)
    assert found.second == 54 * 2 + 2
    assert "architecture" not in found.details


def test_a_trial_stops_where_the_watch_has_a_reason() -> None:
    asked = []

    def watch(epoch: int, best: float, second: float | None) -> str | None:
        asked.append((epoch, best, second))
        return "enough" if epoch == 2 else None

    with pytest.raises(PrunedError, match="enough") as stopped:
        objective()(SETTING, seed=5, watch=watch)
    assert [epoch for epoch, _, _ in asked] == [1, 2]
    assert stopped.value.details["best"] == [best for _, best, _ in asked]
    assert {second for _, _, second in asked} == {stopped.value.details["parameters"]}


def test_limits_are_kept() -> None:
    free = objective()(SETTING, seed=5, watch=never)
    most = min(one["parameters"] for one in free.details["draws"])
    small = objective(limits=Limits(parameters=most))(SETTING, seed=5, watch=never)
    assert all(one["parameters"] <= most for one in small.details["draws"])
    with pytest.raises(PrunedError, match="at most 3 parameters"):
        objective(limits=Limits(parameters=3))(SETTING, seed=5, watch=never)
    with pytest.raises(PrunedError, match=r"ms, allowed are 1e-07"):
        objective(limits=Limits(latency_ms=1e-7))(SETTING, seed=5, watch=never)


def test_latency_as_the_second_objective_is_measured() -> None:
    found = objective(second="latency")(SETTING, seed=5, watch=never)
    assert found.second == found.details["latency_ms"] > 0


def guide_knobs() -> dict[str, bool]:
    """The knobs of docs/tuning.md's table, and whether each has the star of those that mean nothing to a tail."""
    (table,) = re.findall(r"^\| knob \|.*?\n\n", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    cells = [row.split("|")[1] for row in table.strip().splitlines()[2:]]
    return {knob: bool(star) for cell in cells for knob, star in re.findall(r"`(\w+)`(\*?)", cell)}


def test_knobs_of_a_study() -> None:
    row = {knob.name: knob for knob in depth_knobs([3, 4, 5], replace(BASE, with_tail=True))}
    assert (row["freeze_depth"].low, row["freeze_depth"].high) == (3, 5)
    assert row["space"].choices == ("macro", "micro", "tail")
    assert {name: knob.only is not None for name, knob in row.items()} == guide_knobs()
    assert row["nodes"].only == row["dropout"].only == ("space", ("macro", "micro"))
    assert depth_knobs([2, 5], BASE)[0].choices == (2, 5)
    assert depth_knobs([4], BASE)[0].choices == (4,)
    # With one architecture to choose from, a penalty does nothing.
    assert "parameter_penalty" not in {knob.name for knob in depth_knobs([2], replace(BASE, draws=1))}
    assert objective().first == SETTING


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"second": "macs"}, "--second must be one of parameters, latency, is 'macs'"),
        ({"draws": 0}, "--draws must be at least 1, is 0"),
        ({"draw_epochs": 0}, "--draw-epochs must be at least 1"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SearchError, match=said):
        replace(BASE, **changes)


class Last:
    """A trial that takes the last choice and the high end of each range."""

    def suggest_categorical(self, _name: str, choices: Sequence[Value]) -> Value:
        return choices[-1]

    def suggest_int(self, _name: str, _low: int, high: int) -> int:
        return high

    def suggest_float(self, _name: str, _low: float, high: float, *, log: bool = False) -> float:
        return high


@pytest.mark.parametrize("name", DEPTH_KNOBS)
def test_every_knob_is_asked_for_and_changes_the_trial(name: str) -> None:
    trials = objective()
    high = asked(trials.knobs, Last())
    assert high.keys() == DEPTH_KNOBS.keys() == SETTING.keys()
    low = {knob.name: knob.choices[0] if knob.choices else knob.low for knob in trials.knobs}
    if name == "parameter_penalty":
        high[name] = 1e6  # enough to choose otherwise
    one, other = ({**SETTING, name: setting[name]} for setting in (low, high))
    if DEPTH_KNOBS[name].of_training:
        assert trials.recipe(one) != trials.recipe(other)
    else:
        assert trials(one, seed=5, watch=never).details != trials(other, seed=5, watch=never).details
