"""The section of data and time: what it says of the images beside their numbers."""

import json
from pathlib import Path

import pytest

from reports import write_report
from reports.search.data import labels_section
from reports.summaries.search import read_records
from tests.reports.search_folder import write_search


def test_images_that_two_splits_share_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "search"
    write_search(folder)
    assert "share images" not in write_report(folder).read_text(encoding="utf-8")
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    result["data"]["shared"] = {"train/test": 1200, "val/test": 3}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    page = write_report(folder).read_text(encoding="utf-8")
    assert "Splits share images with equal contents: train and test 1,200, val and test 3." in page


CURVE = {
    "split": "test",
    "metric": "auroc",
    "images": [100, 200, 400],
    "winner": [0.8, 0.85, 0.9],
    "probe": [0.7, 0.75, 0.8],
    "sentence": "twice as many would bring about +0.0200",
}


def test_a_learning_curve_is_drawn_and_said(tmp_path: Path) -> None:
    records = read_records(write_search(tmp_path))
    assert labels_section(records) is None
    section = labels_section(records._replace(result={**records.result, "learning_curve": CURVE}))
    assert section is not None
    assert section.lead == "Twice as many would bring about +0.0200."
    assert "0.8000, 0.8500, 0.9000 with 100, 200, 400 images" in str(section.pictures[0])


@pytest.mark.parametrize(
    "broken", [{"images": []}, {"images": [0, 1, 2]}, {"metric": "?"}, {"winner": [1], "probe": 3}]
)
def test_a_broken_learning_curve_is_left_out(broken: dict[str, object], tmp_path: Path) -> None:
    records = read_records(write_search(tmp_path))
    assert labels_section(records._replace(result={**records.result, "learning_curve": {**CURVE, **broken}})) is None
