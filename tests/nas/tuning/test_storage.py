"""A storage that fails says what failed: a full disk has no server to start."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from nas.errors import SearchError
from nas.tuning.storage import open_storage, sqlite_url


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("database or disk is full", "free some space on its disk and call again."),
        ("attempt to write a readonly database", "a folder with room that you may write to, or correct --storage."),
        ("disk I/O error", "a folder with room that you may write to, or correct --storage."),
    ],
)
def test_a_file_that_cannot_be_written_has_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, remedy: str
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OperationalError("CREATE TABLE studies", {}, sqlite3.OperationalError(reason))

    monkeypatch.setattr("nas.tuning.storage.RDBStorage", failing)
    with pytest.raises(SearchError) as caught:
        open_storage(sqlite_url(tmp_path / "studies.db"))
    assert reason in str(caught.value)
    assert str(caught.value).endswith(remedy)
    assert "server" not in str(caught.value)


def test_a_file_that_is_no_database_is_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(SearchError, match=r"not a database\); move .*studies\.db away, or name another --storage"):
        open_storage(sqlite_url(path))
