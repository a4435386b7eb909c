"""One process at a time in a folder: two that search the same attribute would cut each other's history."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graftnet.errors import ConfigError


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold ``.<folder>.lock`` beside the folder while the block runs; it is given back however the process ends.

    Raises:
        ConfigError: another process holds it.
    """
    path = folder.with_name(f".{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"Another process is at work in {folder}; wait until it ends, or stop it, and call again."
            ) from error
        yield
