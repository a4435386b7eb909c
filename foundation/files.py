"""Files that are there whole or not at all, and the JSON in them."""

import errno
import json
import os
import shutil
import sys
import tempfile
import time
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


def write_new(
    path: Path, data: bytes, *, replace: bool = False, what: str = "", error: type[UserError] = UserError
) -> Path | None:
    """Write a file where nothing of the user's stands, or the same bytes; otherwise refuse, or `replace` it.

    Args:
        replace: keep what is there beside the new file, as :func:`set_aside` does.
        what: is there, for the sentence; by default its size and date.

    Returns:
        Where the old file is kept, None where there was none.

    Raises:
        UserError: another file is there, or nothing can be written; as ``error``, a room's own.
    """
    kept = None
    if os.path.lexists(path):
        if path.is_file() and path.read_bytes() == data:
            return None
        if not path.is_file():
            raise error(f"{path} is there already and is no file: choose another destination")
        if not replace:
            raise error(
                f"{path} is there already ({what or described_file(path)}): name another place, or add --replace, "
                "which keeps it beside the new one under a dated name (in Python replace=True)"
            )
        kept = set_aside(path)
    write_bytes(path, data, error=error)
    return kept


def described_file(path: Path) -> str:
    """Size and date of a file, to recognise it by."""
    about = path.stat()
    return f"{about.st_size:,} bytes, of {time.strftime('%Y-%m-%d %H:%M', time.localtime(about.st_mtime))}"


def set_aside(path: Path) -> Path:
    """Give a file a second, dated name beside it, ``bald.csv.before-2026-07-14T093000``, which is returned.

    Its first name can be given to another file then; at no moment is it under neither.
    """
    stem = f"{path.name}.before-{time.strftime('%Y-%m-%dT%H%M%S')}"
    number = 1
    while True:
        kept = path.with_name(stem if number == 1 else f"{stem}-{number}")
        try:
            os.link(path, kept, follow_symlinks=False)
            return kept
        except FileExistsError:
            number += 1
        except (OSError, NotImplementedError):  # a file system without second names
            if os.path.lexists(kept):
                number += 1
                continue
            shutil.copy2(path, kept)
            return kept


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
