import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from foundation.errors import UserError
from foundation.folders import replaced_folder
from foundation.locks import in_turn, only_one, sweep


def hold(folder: Path, held: "multiprocessing.synchronize.Event") -> None:  # type: ignore[name-defined]
    with only_one(folder):
        held.set()
        signal.pause()


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=hold, args=(tmp_path / "search", held))
    process.start()
    assert held.wait(30)
    holder = rf"Another process is at work in .*search \(host {socket.gethostname()}, process {process.pid}\)"
    with pytest.raises(UserError, match=holder), only_one(tmp_path / "search"):
        pass
    with only_one(tmp_path / "other"):
        pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with only_one(tmp_path / "search"):
        pass


def test_who_is_patient_gets_the_lock_of_one_that_dies(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=hold, args=(tmp_path / "search", held))
    process.start()
    assert held.wait(30)
    with pytest.raises(UserError), only_one(tmp_path / "search", patience=0.1):
        pass
    threading.Timer(0.2, process.kill).start()
    with only_one(tmp_path / "search", patience=60):
        assert str(os.getpid()) in (tmp_path / ".search.lock").read_text()
    process.join()


def hold_in_turn(folder: Path, held: "multiprocessing.synchronize.Event") -> None:  # type: ignore[name-defined]
    with in_turn(folder):
        held.set()
        signal.pause()


def test_who_waits_in_turn_gets_the_folder_of_one_that_dies_and_leaves_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=hold_in_turn, args=(tmp_path, held))
    process.start()
    assert held.wait(30)
    killed = threading.Event()

    def kill() -> None:
        killed.set()
        process.kill()

    threading.Timer(0.2, kill).start()
    with in_turn(tmp_path):
        assert killed.is_set()
        assert not list(tmp_path.iterdir())
    process.join()


WRITER = """
import sys, time
from pathlib import Path
from foundation.files import replace_atomically
from foundation.folders import replaced_folder

def write(path):
    path.write_text("half")
    print("ready", flush=True)
    time.sleep(60)

if sys.argv[1] == "file":
    replace_atomically(Path("folder/record.json"), write)
else:
    with replaced_folder(Path("folder/branch"), "marker") as folder:
        write(folder / "half")
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(kind: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    command = [sys.executable, "-c", WRITER, kind]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (part,) = (tmp_path / "folder").glob(".*.part")
        with only_one(tmp_path / "folder"):
            assert part.exists()
        assert sweep(tmp_path) == []
        process.kill()
        process.wait()
    assert part.exists()
    with only_one(tmp_path / "folder"):
        assert not part.exists()
    assert list((tmp_path / "folder").iterdir()) == []


def test_an_empty_part_may_be_one_that_was_just_made(tmp_path: Path) -> None:
    part = tmp_path / ".x.part"
    part.touch()
    (tmp_path / ".link.part").symlink_to(tmp_path)
    assert sweep(tmp_path) == []
    os.utime(part, (1, 1))
    assert sweep(tmp_path) == [part]
    assert [path.name for path in tmp_path.iterdir()] == [".link.part"]


def test_a_folder_that_is_written_again_has_no_parts_of_before_beside_it(tmp_path: Path) -> None:
    left = tmp_path / ".bundle.abc.part" / "new"
    left.mkdir(parents=True)
    (left / "half").write_text("x")
    (tmp_path / ".other.abc.part").mkdir()
    with replaced_folder(tmp_path / "bundle", "marker") as folder:
        (folder / "marker").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.abc.part", "bundle"]
