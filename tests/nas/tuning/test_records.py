"""The front and the picked trial, against cases worked by hand; the record of a study."""

from pathlib import Path
from typing import Any

import pytest

from nas.tuning.records import front_of, pick, study_record
from nas.tuning.storage import open_storage, sqlite_url
from nas.tuning.study import open_study, run_study
from tests.nas.studying import Arithmetic, unsynced

TRIALS: list[dict[str, Any]] = [
    {"score": 0.90, "second": 500.0, "standard_error": 0.02},
    {"score": 0.95, "second": 900.0, "standard_error": 0.01},
    {"score": 0.94, "second": 300.0, "standard_error": 0.02},
    {"score": 0.80, "second": 100.0, "standard_error": 0.02},
    {"score": 0.945, "second": 400.0, "standard_error": 0.5},
]


def test_the_front_is_what_nothing_beats_cheapest_first() -> None:
    assert front_of(TRIALS) == [3, 2, 4, 1]
    assert front_of([]) == []
    alone = [{**one, "second": None} for one in TRIALS]
    assert front_of(alone) == [1]


@pytest.mark.parametrize(
    ("rule", "tolerance", "place", "said"),
    [
        ("best", 1.0, 1, "the best val AUROC, 0.9500"),
        ("smallest_within", 0.0, 1, "the best val AUROC, 0.9500"),
        ("smallest_within", 1.0, 2, "of the 3 trials within 0.0100 (1 standard error) of the best val AUROC, 0.9500, "),
        ("smallest_within", 0.5, 4, "400 parameters with 0.9450, where the best has 900 parameters"),
        ("smallest_within", 5.0, 2, "(5 standard errors)"),
        ("smallest_within", 20.0, 3, "of the 5 trials within 0.2000"),
    ],
)
def test_the_picked_trial(rule: str, tolerance: float, place: int, said: str) -> None:
    found = pick(TRIALS, metric="AUROC", second="parameters", rule=rule, tolerance=tolerance)
    assert found.position == place
    assert said in found.reason


def test_a_study_of_one_objective_takes_its_best() -> None:
    alone = [{**one, "second": None} for one in TRIALS]
    assert pick(alone, metric="mAP", second=None, rule="smallest_within", tolerance=1.0).position == 1


@unsynced()
def test_what_a_study_writes_down(tmp_path: Path) -> None:
    objective = Arithmetic()
    study = open_study(open_storage(sqlite_url(tmp_path / "studies.db")), "study", objective, seed=3)
    how: dict[str, Any] = {"total": 15, "seed": 3, "metric": "auroc", "second": "parameters", "rule": "best"}
    assert study_record(study, **how, tolerance=1.0)["picked"] is None
    run_study(study, objective, trials=15, seed=3)
    record = study_record(study, **how, tolerance=1.0)
    finished = {one["trial"]: one for one in record["trials"] if one["state"] == "finished"}
    assert record["settled"] == record["wanted"] == len(record["trials"]) == 15
    assert record["picked"]["trial"] == max(finished, key=lambda place: finished[place]["score"])
    assert set(record["front"]) <= set(finished)
    assert record["sentence"].startswith(
        f"{len(finished)} of 15 trials finished, {15 - len(finished)} stopped early; picked"
    )
    assert study_record(study, **{**how, "total": 3}, tolerance=1.0) == record | {"wanted": 15}
    shares = record["importances"]["score"]
    assert sum(shares.values()) == pytest.approx(1.0)
    assert set(shares) == {"depth", "space", "rate"}  # `nodes` is not in every trial
    assert "importances" not in study_record(study, **how, tolerance=1.0, whole=False)
