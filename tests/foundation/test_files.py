"""Files are there whole or not at all, and say where they cannot be."""

import errno
from pathlib import Path

import pytest

from foundation.errors import RecordError, UserError
from foundation.files import jsonable, read_json, read_json_if_whole, replace_atomically, write_bytes, write_json


class RoomError(UserError):
    pass


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"version": 1})

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        replace_atomically(path, fail)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"version": float("nan")})
    assert path.read_text() == '{\n  "version": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_is_no_folder_is_a_rooms_own_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RoomError, match=r"file/x\.txt cannot be written \(.+\): choose another destination"):
        write_bytes(tmp_path / "file" / "x.txt", b"", error=RoomError)
    assert write_bytes(tmp_path / "deep" / "x.txt", b"x").read_bytes() == b"x"


def test_a_full_disk_is_no_mistake_of_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match="No space"):
        write_bytes(tmp_path / "x.txt", b"x")
    assert not list(tmp_path.iterdir())


def test_a_name_as_long_as_a_name_may_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 127)
    assert write_bytes(path, b"x", durable=False).read_bytes() == b"x"


def test_json_comes_back_and_what_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"größe": (1, 2)})
    assert read_json(path) == {"größe": [1, 2]} == jsonable({"größe": (1, 2)})
    for text in ("[1]", "{torn"):
        path.write_text(text)
        with pytest.raises(RecordError, match=r"Expecting an object|Expecting property name"):
            read_json(path)
        assert read_json_if_whole(path) == {}
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")
    assert read_json_if_whole(tmp_path / "none.json") == {}
