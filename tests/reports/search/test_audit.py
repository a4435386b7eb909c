"""The section about an audit: there with audit.json, not without, and robust to what is missing from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from reports.search.audit import audit_section, retrained_of
from reports.search.page import render
from reports.summaries.search import read_records
from tests.reports.search_folder import write_search

AUDIT: dict[str, Any] = {
    "attribute": "bald",
    "metric": "auroc",
    "ranking": {
        "tau": {"tau": 0.62, "low": 0.45, "high": 0.75, "pairs": 3},
        "tau_better_half": {"tau": None, "low": None, "high": None, "pairs": 2},
        "ceiling": {"tau": 0.8, "low": 0.7, "high": 0.9, "pairs": 3},
        "architectures": [
            {"identity": "a", "source": "policy", "shared": 0.93, "retrained": [0.95, 0.96]},
            {"identity": "b", "source": "random", "shared": 0.90, "retrained": [0.94, 0.93]},
            {"identity": "c", "source": "random", "shared": None, "retrained": [0.94, 0.93]},
        ],
        "how": "As it was done.",
    },
    "gain": {
        "equal_budget": {"difference": 0.004, "low": 0.001, "high": 0.007, "seeds": 2},
        "equal_cost": {"difference": -0.002, "low": None, "high": None, "seeds": 2},
        "extra_random": 5,
        "seeds": [
            {"seed": seed, "val": {"search": 0.95, "random": 0.946, "random_equal_cost": 0.952}} for seed in (0, 1)
        ],
    },
    "collapse": {"alarms": [], "entropy_share_last": 0.31, "duplicates_last": 0.05, "thresholds": "Alarm: below."},
    "cost": {"search_seconds": 70.0, "total_seconds": 200.0, "audit_seconds": 3725.0, "audit_trainings": 60},
    "sentence": "On bald, the shared weights rank like retraining does: worth searching.",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_search(tmp_path / "s1")


def test_a_search_without_an_audit_has_no_such_section(folder: Path) -> None:
    records = read_records(folder)
    assert audit_section(records) is None
    assert 'id="audit"' not in render(records)


def test_the_figures_of_the_audit_are_in_the_tables(folder: Path) -> None:
    (folder / "audit.json").write_text(json.dumps(AUDIT))
    records = read_records(folder)
    section = audit_section(records)
    assert section is not None
    assert section.lead == AUDIT["sentence"]
    ranking, gain, signs = section.tables
    assert ranking.rows[0][1:] == ("0.62", "+0.45 to +0.75")
    assert ranking.rows[1][1:] == ("–", "–")
    assert [row[0] for row in gain.rows] == ["seed 0", "seed 1", "the search gained"]
    assert gain.rows[2][1:] == ("–", "+0.0040\n+0.0010 to +0.0070", "−0.0020")
    cells = {row[0]: row[1] for row in signs.rows}
    assert cells["alarms"] == "none"
    assert cells["the audit itself"].replace("\N{NO-BREAK SPACE}", " ") == "1 h 02 min"
    page = render(records)
    assert 'id="audit"' in page
    assert 'id="figure-audit"' in page
    assert len(retrained_of(AUDIT["ranking"])) == 2


@pytest.mark.parametrize("part", ["ranking", "gain", "collapse", "cost", "sentence", "metric"])
@pytest.mark.parametrize("value", [None, {}, [], 3, "x"])
def test_a_damaged_audit_still_gives_a_page(folder: Path, part: str, value: object) -> None:
    (folder / "audit.json").write_text(json.dumps({**AUDIT, part: value}))
    assert 'id="audit"' in render(read_records(folder))


def test_an_unreadable_audit_is_named(folder: Path) -> None:
    (folder / "audit.json").write_text("{")
    records = read_records(folder)
    assert records.audit == {}
    assert any("audit.json cannot be read" in problem for problem in records.problems)


def test_the_signs_of_collapse_stand_with_the_search(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text())
    result["collapse"] = {"sentence": "No collapse: the policy ended at 31% of a uniform policy's entropy."}
    (folder / "result.json").write_text(json.dumps(result))
    assert "No collapse: the policy ended at 31%" in render(read_records(folder))
