"""Predictions and weights as they are read: whole, cut, and of something else."""

import json
from pathlib import Path

import numpy as np
import pytest

from reports.summaries.predictions import NO_PREDICTIONS, missing_predictions, read_predictions, weights_problem

TABLE = """split,image,content,label,predicted,score of no,"score of yes, maybe"
val,a.jpg,00,no,no,0.75,0.25
val,b.jpg,01,"yes, maybe",no,0.5,0.5
test,c.jpg,02,no,"yes, maybe",0.125,0.875
"""


def read(tmp_path: Path, text: str) -> tuple[object, list[str]]:
    problems: list[str] = []
    (tmp_path / "predictions.csv").write_text(text, encoding="utf-8")
    return read_predictions(tmp_path / "predictions.csv", problems), problems


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found, problems = read(tmp_path, TABLE)
    assert problems == []
    assert found.values == ("no", "yes, maybe")  # type: ignore[attr-defined]
    val, test = found.splits["val"], found.splits["test"]  # type: ignore[attr-defined]
    assert val.labels.tolist() == [0, 1]
    assert val.predicted.tolist() == [0, 0]
    assert np.array_equal(val.scores, [[0.75, 0.25], [0.5, 0.5]])
    assert (test.labels.tolist(), test.predicted.tolist()) == ([0], [1])


def test_a_cut_at_any_byte_is_noticed(tmp_path: Path) -> None:
    counts: dict[str, object] = {"val": {"no": 1, "yes, maybe": 1}, "test": {"no": 1, "yes, maybe": 0}}
    for size in range(len(TABLE) - 1):  # the line end at the very end may be missing
        found, problems = read(tmp_path, TABLE[:size])
        assert problems or missing_predictions(found, counts), size  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        "val,a.jpg,00,no,no,0.75",
        "val,a,00,no,perhaps,0.5,0.5",
        "val,a,00,no,no,x,0.5",
        "val,a,00,no,no,nan,0.5",
        "val,a,00,no,no,0.75,0.2",
    ],
)
def test_a_damaged_line_is_left_out_and_counted(tmp_path: Path, line: str) -> None:
    found, problems = read(tmp_path, TABLE + line + "\n")
    assert problems == ["predictions.csv has 1 damaged line, left out here."]
    assert len(found.splits["val"].labels) == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", "\x00\x00", TABLE.splitlines()[0], TABLE.replace('"score of yes, maybe"', "score of no")],
)
def test_another_table_is_none(tmp_path: Path, text: str) -> None:
    found, problems = read(tmp_path, text)
    assert found == NO_PREDICTIONS
    assert len(problems) == 1


def test_no_table_is_no_problem(tmp_path: Path) -> None:
    problems: list[str] = []
    assert read_predictions(tmp_path / "predictions.csv", problems) == NO_PREDICTIONS
    assert problems == []


def test_weights_are_checked_by_their_header(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "branch" / "weights.safetensors"
    path.parent.mkdir()
    assert "branch/weights.safetensors is missing" in (weights_problem(path) or "")
    save_file({"a": torch.zeros(3, 5), "b": torch.zeros(7, dtype=torch.int64)}, path, metadata={"by": "hand"})
    assert weights_problem(path) is None
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert "branch/weights.safetensors" in (weights_problem(path) or "")
    path.write_bytes(json.dumps([1]).encode() * 3)
    assert "cannot be read" in (weights_problem(path) or "")
