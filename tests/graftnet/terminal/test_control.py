"""Control characters in what was received are shown, not obeyed by the terminal."""

import json
import zipfile
from pathlib import Path

import pytest

from graftnet.cli import run
from graftnet.terminal.output import printable
from tests.graftnet.test_old_world import ARCHIVE

BELL = "\x1b]0;title\x07\x1b[2Jhidden\r\u202eback"


def test_a_received_trunk_commands_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path / "project")
    path = Path("runs/trunk/8a8f7ff07ac1/trunk.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "source": BELL, "notes": [BELL]}))
    assert run(["trunk", "status"]) == 0
    assert run(["graft", f"no{BELL}such"]) == 2
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert not set(text) & set("\x1b\x07\r\u202e")
    assert "\\x1b]0;title" in said.out + said.err


def test_words_stay_as_they_are() -> None:
    for text in ("Größe 漢字 🙂", "a\n\tb", "1\u202f000\u00a0km", "नि\u200dक्ष"):
        assert printable(text) == text
    assert printable("\ud800\x00") == "\\ud800\\x00"
