import multiprocessing
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from foundation.errors import UserError
from foundation.locks import in_turn, only_one


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
