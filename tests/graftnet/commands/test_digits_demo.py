"""The demo goes all the way, and a second call finds everything done."""

import json
from pathlib import Path

import pytest

from deployment.runtime import Runtime
from graftnet.cli import run
from graftnet.commands.demos import digits as demo
from graftnet.commands.demos.steps import PICTURES
from graftnet.project.folder import open_project
from graftnet.searches import run as pipeline

TINY = {"STEPS": 20, "SEARCH_EPOCHS": 3, "CANDIDATES": 3, "RETRAIN_TOP": 1, "RETRAIN_EPOCHS": 1, "REPEATS": 1}


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "QUICK", TINY)
    folder = tmp_path / "digits"
    assert run(["demo", "--quick", "--folder", str(folder), "--device", "cpu", "--json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    (search,) = first["searches"]
    assert Path(search["report"]).read_text(encoding="utf-8").lstrip().startswith("<!")
    assert all(check["ok"] for check in Runtime(first["bundle"]).verify())
    assert [set(row["attributes"]) for row in first["predictions"]] == [{"has-loop"}] * PICTURES
    assert "<td" in Path(first["fleet"]).read_text(encoding="utf-8")
    assert set(open_project(folder).sources()) == {"even", "greater-than-four", "has-loop", "seven"}

    def no_job(*_: object, **__: object) -> None:
        raise AssertionError("the second call searched again")

    monkeypatch.setattr(pipeline, "run_job", no_job)
    assert run(["demo", "--quick", "--folder", str(folder), "--device", "cpu", "--json"]) == 0
    second = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert second["searches"] == first["searches"]
    assert second["predictions"] == first["predictions"]


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").touch()
    assert run(["demo", "--folder", str(tmp_path)]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
