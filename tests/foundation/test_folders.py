"""Folders are replaced as a whole, and never somebody's own."""

import sys
from pathlib import Path

import pytest

from foundation.errors import UserError
from foundation.folders import exchanged, replaced_folder


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


def test_somebodys_own_folder_is_a_rooms_own_mistake(tmp_path: Path) -> None:
    class RoomError(UserError):
        pass

    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis").touch()
    with (
        pytest.raises(RoomError, match="exists and holds no text"),
        replaced_folder(tmp_path / "own", "text", error=RoomError),
    ):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["own", "thesis"]
