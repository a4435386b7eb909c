"""Locks of folders, one process at a time: two that search the same attribute would cut each other's history."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from foundation.errors import UserError

if sys.platform != "win32":
    import fcntl

RETRY_EVERY = 0.5  # seconds


@contextmanager
def only_one(folder: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Hold ``.<folder>.lock`` beside the folder while the block runs; it is given back however the process ends.

    The file says who holds it: host and process number. On a folder that several machines share, the file server gives
    a dead machine's lock back after a while (NFSv4: 90 s), so a process that takes over from one must be patient.

    Args:
        patience: seconds to wait for another process.

    Raises:
        UserError: another process holds it.
    """
    path = folder.with_name(f".{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        last = time.monotonic() + patience
        while not _locked(file.fileno()):
            if time.monotonic() >= last:
                file.seek(0)
                holder = file.read().strip()
                raise UserError(
                    f"Another process is at work in {folder}{f' ({holder})' if holder else ''}; wait until it ends, or "
                    f"stop it, and call again."
                )
            time.sleep(RETRY_EVERY)
        # Who holds it is a courtesy: a full disk must not stop the holder here.
        with suppress(OSError):
            file.truncate(0)
            file.write(f"host {socket.gethostname()}, process {os.getpid()}\n")
            file.flush()
        yield


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Wait until no other process holds this folder in the same way, and hold it while the block runs.

    It must be there, and nothing is written in it or beside it. Where the system has no such locks, nobody waits.
    """
    if sys.platform == "win32":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _locked(handle, wait=True)
        yield
    finally:
        os.close(handle)


def _locked(handle: int, *, wait: bool = False) -> bool:
    """Take the lock of an open file or folder; False when another process has it."""
    if sys.platform != "win32":
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
    return True
