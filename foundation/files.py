"""Files that are there whole or not at all, and the JSON in them."""

import errno
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foundation.errors import UserError
from foundation.locks import claim
from foundation.records import read_json as read_json

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def replace_atomically(path: Path, write: Callable[[Path], object], *, durable: bool = True) -> None:
    """Call ``write(temporary_path)``, flush that file to disk and rename it to ``path``; clean up when it fails.

    Folders are made as needed. ``durable`` waits until the bytes are on the disk: leave it off for thousands of small
    files that can be made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A long name would be too long with what is put around it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")
    claim(handle)
    if sys.platform == "win32":
        os.close(handle)  # an open file cannot be replaced there
    temporary = Path(name)
    try:
        write(temporary)
        if durable:
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        if sys.platform != "win32":
            os.close(handle)


def write_bytes(path: Path, data: bytes, *, durable: bool = True, error: type[UserError] = UserError) -> Path:
    """Write a file, as :func:`replace_atomically` does, and return its path.

    Raises:
        UserError: nothing can be written there; as ``error``, a room's own. A full disk stays an OSError, for it is no
            mistake of the call.
    """
    try:
        replace_atomically(path, lambda temporary: temporary.write_bytes(data), durable=durable)
    except OSError as problem:
        if problem.errno in DISK_FULL:
            raise
        raise error(f"{path} cannot be written ({problem.strerror}): choose another destination") from problem
    return path


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; readers see the old file or the new one, never half of it."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json_if_whole(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds; empty where there is none that can be read."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}


def jsonable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples to lists, so that what is compared is what is read back."""
    result: dict[str, Any] = json.loads(json.dumps(dict(values)))
    return result
