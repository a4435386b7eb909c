"""What `benchmarks.kills` counts as the same, and as left over, is found."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from benchmarks import kills
from benchmarks.kills import differences, lap, left_overs, without
from foundation.locks import only_one


def test_records_differ_by_what_was_found_and_not_by_times() -> None:
    whole = {"a/result.json": without({"val": 0.5, "created": "today", "seconds": 3}, Path("/x")), "b": b"1"}
    again = {"a/result.json": without({"val": 0.5, "created": "later", "seconds": 4}, Path("/y")), "b": b"1"}
    assert list(differences(whole, again)) == []
    other = {"a/result.json": without({"val": 0.6}, Path("/y")), "c": b"1"}
    assert list(differences(whole, other)) == ["a/result.json differs at .val", "b is missing", "c is there besides"]


def test_half_written_files_and_held_locks_are_left_overs(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with only_one(tmp_path / "runs/search"):
        pass
    assert left_overs(tmp_path) == []
    (tmp_path / "runs/.result.json.x1.part").touch()
    with only_one(tmp_path / "runs/search"):
        assert left_overs(tmp_path) == ["runs/.result.json.x1.part is left over", "runs/.search.lock is held"]


def test_a_lap_kills_no_more_than_asked_and_ends_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(kills, "killed", lambda project, command, after: (True, ""))

    def done(project: Path, command: tuple[str, ...]) -> str:
        ended.append(" ".join(command[:2]))
        return ""

    monkeypatch.setattr(kills, "done", done)
    seconds = {" ".join(command[:2]): 1.0 for command in kills.COMMANDS}
    came = lap(tmp_path, seconds, 5, Random(0))
    assert (came.kills.total(), came.faults) == (5, [])
    assert set(seconds) <= set(ended)
    assert came.kills == lap(tmp_path, seconds, 5, Random(0)).kills != Counter()
