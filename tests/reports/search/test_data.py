"""The section of data and time: what it says of the images beside their numbers."""

import json
from pathlib import Path

from reports import write_report
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
