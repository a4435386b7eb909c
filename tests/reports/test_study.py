"""The page of a tuning study, from a made-up record; its figures laid out in a browser."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.errors import ReportError
from reports.study import best_so_far, importances, render_study, summary, trials, write_study_report


def make_record(count: int = 30, *, second: str | None = "parameters", seed: int = 0) -> dict[str, Any]:
    """A study's record: every fourth trial was stopped early."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    for number in range(count):
        stopped = number % 4 == 3
        setting: dict[str, Any] = {"freeze_depth": int(rng.integers(1, 7)), "space": "macro", "learning_rate": 0.0123}
        if number % 2:
            setting["nodes"] = 2
        found.append(
            {
                "trial": number,
                "state": "pruned" if stopped else "finished",
                "setting": setting,
                "score": None if stopped else float(rng.uniform(0.7, 0.95)),
                "second": None if stopped or not second else float(rng.integers(1000, 90_000)),
                "pruned_because": "after epoch 2 it is at 0.6" if stopped else None,
                "seconds": 12.5,
            }
        )
    return {
        "study": "depth" if second else "gcn",
        "attribute": "bald" if second else None,
        "name": "depth-bald-0123456789ab",
        "metric": "auroc" if second else "mAP",
        "second": second,
        "wanted": count,
        "settled": count,
        "seconds": 375.0,
        "seed": 0,
        "fingerprint": "abcdef0123456789",
        "backbone": "small_cnn",
        "trials": found,
        "front": [2, 4],
        "picked": {
            "trial": 4,
            "reason": "of the 3 trials within 0.0100 of the best, the least parameters",
        },
        "importances": {
            "score": {"learning_rate": 0.2, "freeze_depth": 0.7, "space": 0.1},
            **({"second": {"freeze_depth": 1.0, "learning_rate": 0.0}} if second else {}),
        },
        "command": "graftnet tune depth bald",
        "storage": "sqlite:///runs/studies/studies.db",
        "machine": "2 cores",
    }


def test_the_page_says_what_the_record_holds() -> None:
    page = render_study(make_record())
    assert "Trial 4 is picked" in page
    assert "23 trials finished and 7 were stopped early, of 30." in page
    assert "Of the 3 trials within 0.0100 of the best" in page
    assert "after epoch 2 it is at 0.6" in page
    assert "graftnet tune depth bald" in page
    assert page.count("<svg") == 5  # history, front, depth, two importances
    assert page == render_study(make_record())
    assert "<script" not in page


def test_a_study_of_one_objective_has_no_costs() -> None:
    page = render_study(make_record(second=None))
    assert "label graph" in page
    assert "parameters" not in page.replace("the least parameters", "")
    assert page.count("<svg") == 3


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_study_that_has_just_begun(count: int) -> None:
    record = make_record(count) | {"importances": {}, "front": [], "picked": None}
    page = render_study(record)
    assert "No trial is finished yet" in page
    assert "too few trials are finished" in page


def test_a_record_without_anything_is_no_error() -> None:
    page = render_study({})
    assert "No trial is finished yet" in page


def test_what_is_read_of_a_record() -> None:
    record = make_record(6)
    for one, score in zip(record["trials"], (0.7, 0.8, 0.75, None, 0.9, 0.85), strict=True):
        one["score"] = score
    found = trials(record)
    assert [one.finished for one in found] == [True, True, True, False, True, True]
    assert [one.number for one in found if one.on_front] == [2, 4]
    assert [one.number for one in found if one.picked] == [4]
    assert best_so_far(found) == ([0, 1, 2, 4, 5], [0.7, 0.8, 0.8, 0.9, 0.9])
    assert importances(record, "score")[0] == ("freeze depth", 0.7)
    assert "The first trial, with the project's own settings, has 0.7000 with" in summary(record)


def test_the_report_is_written_beside_its_record(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"study.json cannot be read"):
        write_study_report(tmp_path)
    (tmp_path / "study.json").write_text(json.dumps(make_record()))
    assert write_study_report(tmp_path) == tmp_path / "report.html"
