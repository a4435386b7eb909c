"""What runs in a project, seen from another process: command, progress, place, how to stop it; what waits."""

import io
import json
import os
import socket
from pathlib import Path

import pytest

from foundation.locks import holder_of, note, only_one
from graftnet.cli import run
from graftnet.project.folder import open_project
from graftnet.searches.calls import next_call
from graftnet.terminal.output import show_progress
from graftnet.terminal.status import status_call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of two attributes; a search of each was begun."""
    (tmp_path / "graftnet.toml").write_text("")
    for name in ("hat", "scarf"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{name}.csv").write_text("path,label\n")
        search = tmp_path / "runs" / "searches" / name / "s1"
        search.mkdir(parents=True)
        (search / "history.jsonl").write_text("")
    return tmp_path


def test_nothing_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--project", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"Nothing runs in {folder}.",
        "Begun and not finished: hat; `graftnet search hat` continues it.",
        "Begun and not finished: scarf; `graftnet search scarf` continues it.",
    ]


def test_a_search_under_way(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["graftnet", "search", "hat", "--seed", "3"])
    search = folder / "runs" / "searches" / "hat" / "s1"
    # a lock that this process holds itself is seen as held: flock is of the open file
    with only_one(search), show_progress(io.StringIO()) as progress:
        progress("search", 7, 20, {"reward": 0.5})
        assert run(["status", "--project", str(folder), "--json"]) == 0
        record = json.loads(capsys.readouterr().out)
        text = status_call(open_project(folder)).text.splitlines()
    (running,) = record["running"]
    assert running.pop("seconds") < 60
    assert running == {
        "command": "graftnet search hat --seed 3",
        "progress": "search 7/20, reward 0.5",
        "host": socket.gethostname(),
        "process": os.getpid(),
        "folders": [str(search)],
    }
    assert record["unfinished"] == ["scarf"]
    assert text[0] == "graftnet search hat --seed 3"
    assert text[1].startswith("  search 7/20, reward 0.5; ")
    assert f"to stop it: kill {os.getpid()}; the same command continues it" in text[3]
    assert holder_of(search.with_name(".s1.lock")) is None  # given back


def test_a_lock_says_what_is_known(tmp_path: Path) -> None:
    lock = tmp_path / ".x.lock"
    with only_one(tmp_path / "x"):
        note("two\nlines")
        holder = holder_of(lock)
        assert holder is not None
        assert holder.progress == "two lines"
        lock.write_text("host old, process 12\n")  # as it was before there was more to say
        old = holder_of(lock)
        assert old is not None
        assert (old.host, old.process, old.command, old.progress) == ("old", 12, "", "")
        lock.write_text("\x1b[2J")
        assert holder_of(lock) is None
    assert holder_of(tmp_path / ".none.lock") is None


def test_a_result_says_what_comes_next() -> None:
    result = {"attribute": "two words", "fingerprint": "ab", "advice": {"action": "ship, and label more"}}
    assert next_call(result) == "graftnet graft 'two words'"
    assert next_call({**result, "advice": {"action": "label more"}}).startswith("label more images of two words")
    assert next_call({"attribute": "hat", "fingerprint": "ab"}) == "graftnet graft hat"  # of before there was advice
    assert "no trunk here" in next_call({**result, "fingerprint": None})
