"""Exchanging folders."""

import sys
from pathlib import Path

import pytest

from branches.exchange import exchanged


@pytest.mark.skipif(sys.platform != "linux", reason="the call is Linux's")
def test_two_folders_change_places_and_a_missing_one_changes_nothing(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text(name)
    assert exchanged(tmp_path / "one", tmp_path / "other")
    assert [(tmp_path / name / "text").read_text() for name in ("one", "other")] == ["other", "one"]
    assert not exchanged(tmp_path / "one", tmp_path / "none")
    assert (tmp_path / "one" / "text").read_text() == "other"


def test_other_systems_say_that_they_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    assert not exchanged(tmp_path / "one", tmp_path / "other")
