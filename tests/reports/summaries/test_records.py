"""Files that are missing, torn or of the wrong type become sentences, never exceptions."""

from pathlib import Path

import pytest

from reports.errors import ReportError
from reports.summaries.search import read_records
from reports.summaries.values import number, numbers, text, whole
from tests.reports.search_folder import write_search


def test_whole_folder_has_no_problems(tmp_path: Path) -> None:
    records = read_records(write_search(tmp_path))
    assert records.problems == ()
    assert len(records.of("child_epoch")) == 12
    assert len(records.of("controller_update")) == 60
    assert records.architecture == records.result["architecture"]


def test_no_folder_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"There is no search folder at .*nowhere"):
        read_records(tmp_path / "nowhere")


def test_every_missing_file_is_named(tmp_path: Path) -> None:
    problems = read_records(tmp_path).problems
    assert [problem.split()[0] for problem in problems] == ["config.json", "result.json", "history.jsonl"]


def test_torn_last_line_is_left_out_and_told_only_when_the_search_has_finished(tmp_path: Path) -> None:
    whole_history = read_records(write_search(tmp_path)).history
    path = tmp_path / "history.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    records = read_records(tmp_path)
    assert records.history == whole_history[:-1]
    assert records.problems == ("history.jsonl ends inside a line, though the search has finished: the file was cut.",)
    (tmp_path / "result.json").unlink()
    running = read_records(tmp_path)
    assert running.history == whole_history[:-1]
    assert not any("history" in problem for problem in running.problems)


def test_damaged_line_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    count = len(read_records(write_search(tmp_path)).history)
    path = tmp_path / "history.jsonl"
    lines = path.read_bytes().splitlines()
    lines[5] = lines[5][:-9] + b"\xff\xfe"
    path.write_bytes(b"\n".join(lines) + b"\n")
    records = read_records(tmp_path)
    assert len(records.history) == count - 1
    assert records.problems == ("history.jsonl has 1 damaged line, left out here.",)


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "null", '"text"', "[" * 100_000])
def test_broken_result_is_a_problem(tmp_path: Path, content: str) -> None:
    write_search(tmp_path)
    (tmp_path / "result.json").write_text(content, encoding="utf-8")
    records = read_records(tmp_path)
    assert records.result == {}
    assert len(records.problems) == 1
    assert records.problems[0].startswith("result.json ")


def test_architecture_file_stands_in_for_a_missing_result(tmp_path: Path) -> None:
    architecture = read_records(write_search(tmp_path)).architecture
    (tmp_path / "result.json").rename(tmp_path / "kept")
    (tmp_path / "architecture.json").write_text('{"space": "macro"}', encoding="utf-8")
    assert read_records(tmp_path).architecture == {"space": "macro"} != architecture


def test_values_refuse_what_they_are_not() -> None:
    mixed: tuple[object, ...] = (1, 2.5, True, "3", None, float("nan"), float("inf"), 10**400, [])
    assert [number(value) for value in mixed] == [
        1.0,
        2.5,
        *[None] * 7,
    ]
    assert [whole(value) for value in (3, 3.0, 3.5, -1, 10**40)] == [3, 3, None, None, None]
    assert numbers([1, None, "x", 2]) == (1.0, 2.0)
    assert [text(value) for value in (" a ", "  ", 1)] == ["a", None, None]
