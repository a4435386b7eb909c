"""Folders that are there whole or not at all: readers see the old one or the new one, never half of it."""

import ctypes
import glob
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foundation.errors import UserError
from foundation.locks import claim, sweep

AT_FDCWD = -100
RENAME_EXCHANGE = 2


@contextmanager
def replaced_folder(destination: Path, marker: str, *, error: type[UserError] = UserError) -> Iterator[Path]:
    """An empty folder to write into, which takes the place of `destination` when the block ends without an error.

    An existing `destination` is replaced when it is empty or holds the file `marker`, the sign that it was written this
    way; anything else is somebody's own folder, and UserError is raised, as `error`, a room's own.
    """
    ours = (destination / marker).is_file() or (destination.is_dir() and not any(destination.iterdir()))
    if (destination.exists() or destination.is_symlink()) and not ours:
        raise error(f"{destination} exists and holds no {marker}: choose another folder, or remove it")
    destination.parent.mkdir(parents=True, exist_ok=True)
    sweep(destination.parent, f".{glob.escape(destination.name)}.*.part", deep=False)
    holder = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}.", suffix=".part"))
    handle = None if sys.platform == "win32" else os.open(holder, os.O_RDONLY)
    try:
        if handle is not None:
            claim(handle)
        written = holder / "new"
        written.mkdir()
        yield written
        for path in (*written.rglob("*"), written):
            # Some writers make files for their owner alone; a deployed folder is read by other users.
            path.chmod(0o755 if path.is_dir() else 0o644)
            _flush(path)
        # At no moment is there no folder, where the system can exchange two of them.
        if not (destination.exists() and exchanged(written, destination)):
            if destination.exists():
                destination.rename(holder / "old")
            written.rename(destination)
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def exchanged(first: Path, second: Path) -> bool:
    """Exchange two existing paths of one file system; False, and nothing done, where the system cannot.

    Linux's renameat2(2), which Python's standard library does not offer.
    """
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    failed: int = rename(AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), RENAME_EXCHANGE)
    return failed == 0


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 (64 hex digits) of every file directly in the folder, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir()) if path.is_file()
    }


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
