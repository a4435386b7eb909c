import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from subdatasets import image_files
from subdatasets.errors import DataError
from subdatasets.files import memory as module
from subdatasets.files import stamps
from subdatasets.files.memory import FileMemory, Seen
from subdatasets.files.stamps import Stamp
from subdatasets.image_files import content_hash, content_hashes, inspect_images
from tests.subdatasets.conftest import Paint


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileMemory:
    """A memory that trusts files which were written a moment ago."""
    monkeypatch.setattr(stamps, "RACY", 0)
    return FileMemory(tmp_path / "runs" / "files.sqlite")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are opened."""
    opened: list[Path] = []
    whole = image_files._stamped

    def listening(path: Path) -> tuple[bytes, Stamp, int]:
        opened.append(path)
        return whole(path)

    monkeypatch.setattr(image_files, "_stamped", listening)
    return opened


def test_a_file_is_read_once_by_whichever_process(memory: FileMemory, paint: Paint, read: list[Path]) -> None:
    paths = [paint(f"{folder}/{number}.png") for folder in "ab" for number in range(5)]
    hashes = content_hashes(paths, memory=memory)
    assert hashes == {path: content_hash(path) for path in paths}
    heard: list[int] = []
    read.clear()
    again = content_hashes(
        [paint("c.png"), *reversed(paths)],
        memory=FileMemory(memory.file),
        progress=lambda stage, done, total, figures: heard.append(total - done),
    )
    assert {path: again[path] for path in paths} == hashes
    assert [path.name for path in read] == ["c.png"]
    assert heard == [0]


def test_a_file_that_was_touched_is_read_again(memory: FileMemory, paint: Paint, read: list[Path]) -> None:
    rewritten, replaced, kept = (paint(f"{name}.png") for name in ("rewritten", "replaced", "kept"))
    before = content_hashes([rewritten, replaced, kept], memory=memory)
    times = {path: (path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in before}
    time.sleep(0.02)  # the clock of the file system
    data = bytearray(rewritten.read_bytes())
    data[-1] ^= 1
    rewritten.write_bytes(data)
    twin = rewritten.with_name("twin")
    twin.write_bytes(bytes(data).ljust(replaced.stat().st_size, b"\0")[: replaced.stat().st_size])
    twin.replace(replaced)
    for path in (rewritten, replaced):  # size and mtime are as they were
        os.utime(path, ns=times[path])
    read.clear()
    after = content_hashes([rewritten, replaced, kept], memory=memory)
    assert sorted(path.name for path in read) == ["replaced.png", "rewritten.png"]
    assert after == {path: content_hash(path) for path in after}
    assert [after[path] == before[path] for path in (rewritten, replaced, kept)] == [False, False, True]


def test_what_may_be_written_again_in_the_clocks_granularity_is_not_trusted(
    tmp_path: Path, paint: Paint, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, path = FileMemory(tmp_path / "files.sqlite"), paint("a.png")
    content_hashes([path], memory=memory)
    content_hashes([path], memory=memory)
    assert len(read) == 2  # it was written within the last two seconds
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3_000_000_000)
    content_hashes([path], memory=memory)
    assert len(read) == 3
    content_hashes([path], memory=memory)
    assert len(read) == 3


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    memory: FileMemory, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = paint("a.png"), paint("b.png", size=9)
    before_and_after = iter([os.stat(path), os.stat(other)])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lambda _: next(before_and_after))
        content_hashes([path], memory=memory)
    assert not memory.recall([str(path)], [Stamp.of(path.stat())]).known[0]


def test_a_memory_may_be_damaged_deleted_or_out_of_reach(
    memory: FileMemory, paint: Paint, read: list[Path], tmp_path: Path
) -> None:
    paths = [paint(f"{number}.png") for number in range(3)]
    right = {path: content_hash(path) for path in paths}
    content_hashes(paths, memory=memory)
    for name in os.listdir(memory.file.parent):
        (memory.file.parent / name).write_bytes(b"no database, but long enough to be read as one" * 200)
    for _ in range(2):  # it is thrown away, and made anew
        assert content_hashes(paths, memory=FileMemory(memory.file)) == right
    read.clear()
    assert content_hashes(paths, memory=FileMemory(memory.file)) == right
    assert not read
    memory.file.unlink()
    assert content_hashes(paths, memory=FileMemory(memory.file)) == right
    with sqlite3.connect(memory.file) as connection:
        connection.execute("UPDATE blocks SET entries = zeroblob(length(entries))")
    assert content_hashes(paths, memory=FileMemory(memory.file)) == right
    (tmp_path / "no folder").touch()
    assert content_hashes(paths, memory=FileMemory(tmp_path / "no folder" / "files.sqlite")) == right


def test_a_memory_that_cannot_be_written_is_read(
    memory: FileMemory, paint: Paint, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, new = paint("a.png"), paint("b.png")
    content_hashes([path], memory=memory)
    connect = sqlite3.connect

    def refuse(file: object, **options: object) -> sqlite3.Connection:
        if not options.get("uri"):
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return connect(file, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", refuse)
    read.clear()
    content_hashes([path, new], memory=FileMemory(memory.file))
    assert read == [new]


def test_what_was_learnt_before_a_failure_is_kept(memory: FileMemory, paint: Paint, read: list[Path]) -> None:
    paths = [paint(f"{number}.png") for number in range(40)]
    folder = paths[0].with_name("no file.png")
    folder.mkdir()
    with pytest.raises(DataError):
        content_hashes([*paths, folder], memory=memory, threads=1)
    read.clear()
    content_hashes(paths, memory=FileMemory(memory.file))
    assert len(read) <= 8  # all but those of the chunk that failed


def test_several_processes_write_at_once_and_blocks_are_joined(
    memory: FileMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CROWDED", 8)
    stamp = Stamp(5, 1, 2, 3)

    def write(first: int) -> None:
        mine = FileMemory(memory.file)
        for number in range(first, first + 10):
            mine.write({f"/photos/{number}": (stamp, Seen(f"{number:064x}")), "/photos/all": (stamp, Seen("ab" * 32))})

    threads = [threading.Thread(target=write, args=(100 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [100 * thread + number for thread in range(4) for number in range(10)]
    paths = [*(f"/photos/{number}" for number in numbers), "/photos/all", "/photos/none"]
    for _ in range(2):  # of many blocks, and of the one that they were joined to
        recalled = FileMemory(memory.file).recall(paths, [stamp] * len(paths))
        assert recalled.known.tolist() == [True] * 41 + [False]
        assert recalled.contents()[:-1] == [*(f"{number:064x}" for number in numbers), "ab" * 32]
        with sqlite3.connect(memory.file) as connection:
            assert connection.execute("SELECT count(*) FROM blocks").fetchone() == (1,)


def test_verdicts_and_sizes_are_remembered_for_the_pillow_that_gave_them(
    memory: FileMemory, paint: Paint, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, broken = paint("sound.png", size=9), paint("broken.png")
    broken.write_bytes(broken.read_bytes()[:-30])
    content_hashes([sound, broken], memory=memory)  # a hash alone is no verdict
    read.clear()
    first = inspect_images([sound, broken], memory=memory)
    assert len(read) == 2
    assert inspect_images([sound, broken], memory=FileMemory(memory.file)) == first
    assert len(read) == 2
    assert first[sound] == (content_hash(sound), None)
    assert first[broken][1]
    recalled = memory.recall([str(sound)], [Stamp.of(sound.stat())], checked=True)
    assert recalled.entries[["width", "height"]].tolist() == [(9, 9)]
    monkeypatch.setattr("PIL.__version__", "0")
    read.clear()
    content_hashes([sound], memory=FileMemory(memory.file))
    inspect_images([sound, broken], memory=FileMemory(memory.file))
    assert len(read) == 2


def test_what_is_forgotten_is_read_again(memory: FileMemory, paint: Paint, read: list[Path]) -> None:
    path = paint("a.png")
    content_hashes([path], memory=memory)
    memory.forget()
    content_hashes([path], memory=memory)
    content_hashes([path], memory=memory)
    assert len(read) == 2
