"""The schema of result.json is what docs/ says, and refuses what is no result."""

import json
from pathlib import Path

import pytest

from reports import ReportError
from reports.result_schema import check_result, result_schema, schema_text
from tests.reports.fleet_folder import edit_result
from tests.reports.search_folder import write_search

DOCS = Path(__file__).parents[2] / "docs" / "result.schema.json"


@pytest.fixture
def search(tmp_path: Path) -> Path:
    """A made-up search, with what a real one has besides."""
    folder = write_search(tmp_path / "s1", epochs=1, proposals=6, retrained=1)
    edit_result(folder, strategy="enas", latency_ms=0.3)
    path = folder / "result.json"
    result = json.loads(path.read_text())
    for control in result["controls"].values():
        control.setdefault("architecture", None)
    path.write_text(json.dumps(result))
    return folder


def test_the_file_in_docs_is_the_schema() -> None:
    assert DOCS.read_text(encoding="utf-8") == schema_text(), (
        "write it anew: python -m reports.result_schema > docs/result.schema.json"
    )


def test_every_required_field_is_missed(search: Path) -> None:
    path = search / "result.json"
    whole = json.loads(path.read_text())
    record = check_result(path)
    assert record.test is not None
    assert record.test.auroc == whole["test"]["auroc"]
    required = result_schema()["required"]
    assert {"attribute", "architecture", "test", "controls", "verdict", "status"} <= set(required)
    for name in required:
        path.write_text(json.dumps({key: value for key, value in whole.items() if key != name}))
        with pytest.raises(ReportError, match=f"result.json, {name}: Field required"):
            check_result(path)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"parameters": -1}, "parameters"),
        ({"parameters": "12"}, "parameters"),
        ({"values": ["yes"]}, "values"),
        ({"status": "running"}, "status"),
        ({"feature_shape": [3, 4]}, "feature_shape"),
        ({"data": {"digest": "a", "counts": {"train": {"no": -3}}}}, "data.counts.train.no"),
    ],
)
def test_wrong_values_are_named(search: Path, change: dict[str, object], place: str) -> None:
    edit_result(search, **change)
    with pytest.raises(ReportError, match=f"result.json, {place}: "):
        check_result(search / "result.json")


def test_fields_that_are_not_known_are_no_mistake(search: Path) -> None:
    edit_result(search, calibration={"ece": 0.1}, test_no_one_knows=3)
    assert check_result(search / "result.json").attribute == "bald"
