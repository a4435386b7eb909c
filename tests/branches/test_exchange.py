"""Exchanging folders."""

import sys
from pathlib import Path

import pytest

from branches.exchange import exchanged
from branches.folders import replaced_folder


@pytest.mark.skipif(sys.platform != "linux", reason="the call is Linux's")
def test_two_folders_change_places_and_a_missing_one_changes_nothing(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text(name)
    assert exchanged(tmp_path / "one", tmp_path / "other")
    assert [(tmp_path / name / "text").read_text() for name in ("one", "other")] == ["other", "one"]
    assert not exchanged(tmp_path / "one", tmp_path / "none")
    assert (tmp_path / "one" / "text").read_text() == "other"


@pytest.mark.skipif(sys.platform != "linux", reason="the call is Linux's")
def test_a_folder_that_is_replaced_is_there_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(text: str) -> None:
        with replaced_folder(tmp_path / "one", "text") as written:
            (written / "text").write_text(text)

    replace("old")

    def refuse(path: Path, _: Path) -> None:
        pytest.fail(f"{path} was moved away, and for a moment nothing was in its place")

    monkeypatch.setattr(Path, "rename", refuse)
    replace("new")
    assert (tmp_path / "one" / "text").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_other_systems_say_that_they_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    assert not exchanged(tmp_path / "one", tmp_path / "other")
