"""A trial of the label graph's study, on a few made-up images with four labels."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from label_graph.building import LabelledPool
from label_graph.classifier import PooledFeatures
from label_graph.errors import LabelGraphError
from label_graph.settings import GraphSettings
from nas.tuning.gcn import GcnObjective, gcn_knobs, standard_error
from nas.tuning.knobs import Setting, asked
from nas.tuning.study import PrunedError
from tests.nas.tuning.test_study import Asked

GUIDE = Path(__file__).parents[3] / "docs" / "tuning.md"
LABELS = ("a", "b", "c", "d")
SETTING: Setting = {
    "tau": 0.3,
    "p": 0.2,
    "layers": 2,
    "hidden": 64,
    "nodes": "image_pca",
    "components": 2,
    "loss": "asymmetric",
    "gamma_negative": 2.0,
    "gamma_positive": 0.0,
    "clip": 0.05,
    "learning_rate": 0.01,
}


def pool(count: int, seed: int) -> LabelledPool:
    rng = np.random.default_rng(seed)
    states = (rng.random((count, 4)) < 0.4).astype(np.int8)
    features = torch.from_numpy(rng.normal(size=(count, 6)) + states @ np.eye(4, 6)).float()
    return LabelledPool(PooledFeatures(features, features), states)


def objective(**base: Any) -> GcnObjective:
    settings = GraphSettings(**{"epochs": 4, "batch_size": 32, **base})
    return GcnObjective(pool(80, 0), pool(60, 1), LABELS, settings, 0, torch.device("cpu"))


def never(_epoch: int, _best: float, _second: float | None) -> str | None:
    return None


def test_a_trial_repeats_and_says_what_it_found() -> None:
    found = objective()(SETTING, seed=5, watch=never)
    again = objective()(SETTING, seed=5, watch=never)
    assert found == again
    assert found.second is None
    assert found.score == found.details["best"][-1]
    assert len(found.details["best"]) == 4
    assert 0 < found.details["standard_error"] < 0.3
    assert found.score != objective()({**SETTING, "tau": 0.9}, seed=5, watch=never).score


def test_a_training_that_ends_early_is_as_long_for_its_peers() -> None:
    found = objective(epochs=30, patience=2)(SETTING, seed=5, watch=never)
    assert len(found.details["best"]) == 30


def test_a_trial_stops_where_the_watch_has_a_reason() -> None:
    with pytest.raises(PrunedError, match="enough") as stopped:
        objective()(SETTING, seed=5, watch=lambda epoch, best, second: "enough" if epoch == 3 else None)
    assert len(stopped.value.details["best"]) == 3


def test_a_trial_that_diverges_is_stopped_and_one_that_cannot_begin_is_an_error() -> None:
    with pytest.raises(LabelGraphError):
        replace(objective(), val=LabelledPool(pool(60, 1).features, np.zeros((60, 4), np.int8)))(
            SETTING, seed=5, watch=never
        )


def test_knobs_are_asked_where_they_matter() -> None:
    knobs = gcn_knobs(4, words=True)
    first = asked(knobs, Asked())
    assert first["layers"] == 1
    assert "hidden" not in first  # one layer has no width between
    assert "components" not in first  # image nodes as they are
    assert {"gamma_negative", "gamma_positive", "clip"} <= set(first)
    by_name = {knob.name: knob for knob in knobs}
    assert by_name["nodes"].choices[-1] == "words"
    assert by_name["components"].high == 3
    assert "words" not in {knob.name: knob for knob in gcn_knobs(4, words=False)}["nodes"].choices
    for loss, also in (("focal", {"gamma_negative"}), ("bce", set()), ("weighted", set())):
        matter = {knob.name for knob in knobs if knob.only and knob.only[0] == "loss" and loss in knob.only[1]}
        assert matter == also


def test_the_first_trial_has_the_projects_settings() -> None:
    trials = objective(tau=0.5, loss="bce", learning_rate=0.004)
    first = trials.first
    assert (first["tau"], first["loss"], first["learning_rate"]) == (0.5, "bce", 0.004)
    assert first["components"] == 3  # all that four labels have
    assert "clip" not in first


def test_the_standard_error_is_of_the_images() -> None:
    few, many = pool(40, 3), pool(640, 3)
    errors = []
    for part in (few, many):
        noisy = torch.from_numpy(part.states.astype(np.float64)) + torch.randn(
            part.states.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        errors.append(standard_error(noisy.sigmoid(), part.states, seed=0))
    assert errors[0] == pytest.approx(errors[1] * 4, rel=0.5)  # sixteen times the images, a quarter of the error


def test_every_knob_is_a_setting_of_the_label_graph() -> None:
    assert {knob.name for knob in gcn_knobs(4, words=True)} == SETTING.keys()
    assert SETTING.keys() <= set(GraphSettings.__dataclass_fields__)
    (said,) = re.findall(r"`graftnet tune gcn` tunes .*?\.", GUIDE.read_text(encoding="utf-8"), re.S)
    assert {*re.findall(r"`(\w+)`", said)} == SETTING.keys()


@pytest.mark.parametrize("name", SETTING)
def test_every_knob_changes_the_trial(name: str) -> None:
    """A value that no trial has been asked for so far reaches the training."""
    trials = objective()
    knob = next(knob for knob in trials.knobs if knob.name == name)
    setting = {**SETTING, **({knob.only[0]: knob.only[1][0]} if knob.only else {})}
    one, other = (knob.choices[0], knob.choices[-1]) if knob.choices else (knob.low, knob.high)
    low, high = (trials({**setting, name: value}, seed=5, watch=never).details for value in (one, other))
    assert low != high
