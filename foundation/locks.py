"""Locks of folders, one process at a time: two that search the same attribute would cut each other's history.

And what processes that were killed left half written, which whoever holds a folder clears away.
"""

import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from foundation.errors import UserError
from foundation.provenance import this_command

if sys.platform != "win32":
    import fcntl

RETRY_EVERY = 0.5  # seconds
YOUNG = 60.0  # seconds; an empty file may be somebody's who has made it and not yet locked it
GLANCE = 0.05  # seconds; who asks whether a lock is held takes it for as long as that lasts
HALF_WRITTEN = ".*.part"

_held: dict[TextIO, str] = {}  # the locks of this process, and what their files say of it


class Holder(NamedTuple):
    """Who holds a lock: host and process, the command, when it began (seconds of the epoch), and how far it is."""

    host: str
    process: int
    command: str
    since: float
    progress: str


@contextmanager
def only_one(folder: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Hold ``.<folder>.lock`` beside the folder while the block runs; it is given back however the process ends.

    The file says who holds it: host and process number, the command, since when, and how far (`note`). On a folder that
    several machines share, the file server gives a dead machine's lock back after a while (NFSv4: 90 s), so a process
    that takes over from one must be patient.

    Args:
        patience: seconds to wait for another process.

    Raises:
        UserError: another process holds it.
    """
    path = folder.with_name(f".{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        last = time.monotonic() + max(patience, GLANCE)
        while not _locked(file.fileno()):
            if time.monotonic() >= last:
                file.seek(0)
                holder = file.readline().strip()
                raise UserError(
                    f"Another process is at work in {folder}{f' ({holder})' if holder else ''}; wait until it ends, or "
                    f"stop it, and call again."
                )
            time.sleep(RETRY_EVERY if patience else GLANCE / 2)
        _held[file] = f"host {socket.gethostname()}, process {os.getpid()}\n{this_command()}\n{time.time():.0f}\n"
        try:
            note("", [file])
            sweep(folder)
            yield
        finally:
            del _held[file]


def note(progress: str, files: list[TextIO] | None = None) -> None:
    """Write how far this process is into the locks that it holds, for whoever asks; see `holder_of`."""
    for file in list(_held) if files is None else files:
        text = f"{_held.get(file, '')}{' '.join(progress.split())}\n"
        # A courtesy: a full disk must not stop the holder here. Past the buffer, which would be written at the end.
        with suppress(OSError):
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), text.encode(errors="replace"))


def holder_of(lock: Path) -> Holder | None:
    """Who holds a lock now, by its file; None where nobody does, or it says nothing of him."""
    try:
        with open(lock, "r+", encoding="utf-8", errors="replace") as file:  # a file server wants it writable
            if _locked(file.fileno()):
                return None
            first, command, since, progress = [*file.read().split("\n"), "", "", ""][:4]
    except OSError:
        return None
    said = re.fullmatch(r"host (\S+), process (\d{1,10})", first)
    if said is None:
        return None
    began = float(since) if re.fullmatch(r"\d{1,12}", since) else lock.stat().st_mtime
    return Holder(said[1], int(said[2]), command, began, progress)


def claim(handle: int) -> None:
    """Lock an open file or folder that is being written, so that `sweep` leaves it alone; given back when it closes."""
    with suppress(OSError):  # a file system without locks, where nothing is swept either
        _locked(handle)


def sweep(folder: Path, pattern: str = HALF_WRITTEN, *, deep: bool = True) -> list[Path]:
    """Remove what was left half written in a folder by processes that are gone; returns what it was.

    Whoever writes holds a lock on what he writes, and the system gives a dead process's lock back.
    """
    if sys.platform == "win32":
        return []
    found = [path for path in (folder.rglob(pattern) if deep else folder.glob(pattern)) if _abandoned(path)]
    for path in found:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return found


def _abandoned(path: Path) -> bool:
    """Whether nobody writes it any more."""
    try:
        if path.is_symlink():
            return False
        handle = os.open(path, os.O_RDONLY)
        try:
            if not _locked(handle):
                return False
        finally:
            os.close(handle)
        empty = not any(path.iterdir()) if path.is_dir() else path.stat().st_size == 0
        return not empty or time.time() - path.stat().st_mtime > YOUNG
    except OSError:
        return False


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
