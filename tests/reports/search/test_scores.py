"""Calibration as recorded, on a page: both stages, val where there is no test, nothing where records are damaged."""

import copy
from pathlib import Path

import numpy as np
import pytest

from branches.measures.calibration import reliability_record
from reports.search.scores import calibration_picture, reliabilities, reliability_figure
from reports.summaries.search import Records, read_records
from tests.reports.search_folder import write_search


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return read_records(write_search(tmp_path, epochs=1, proposals=8))


def test_both_stages_are_drawn_and_said(records: Records) -> None:
    found = reliabilities(records, "test")
    assert {stage: one.error for stage, one in found.items()} == {"raw": 0.06, "calibrated": 0.01}
    drawn = calibration_picture(records)
    assert drawn is not None
    assert "raw 0.060, calibrated 0.010" in drawn.caption
    assert "Calibrated by temperature, fitted on val." in drawn.caption
    axes = reliability_figure(found, "score", "share").axes[0]
    assert [len(np.asarray(one.get_offsets())) for one in axes.collections] == [3, 3]


def test_what_the_search_records_is_what_is_read(records: Records) -> None:
    written = reliability_record([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]], [0, 1, 0])
    result = {**records.result, "calibration": {"val": {"raw": written}}}
    found = reliabilities(records._replace(result=result), "val")["raw"]
    assert found.error == written["ece"]
    assert [list(one) for one in found.bins] == written["bins"]
    drawn = calibration_picture(records._replace(result=result))
    assert drawn is not None
    assert "how often it is “yes”, val" in drawn.svg


@pytest.mark.parametrize("bins", [None, [], [[0.5, 0.5]], [[0.5, "x", 3]]])
def test_damaged_bins_are_none(records: Records, bins: object) -> None:
    result = copy.deepcopy(records.result)
    for split in ("val", "test"):
        for stage in ("raw", "calibrated"):
            result["calibration"][split][stage]["bins"] = bins  # type: ignore[index]
    assert calibration_picture(records._replace(result=result)) is None
