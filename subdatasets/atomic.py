"""Files that are there whole or not at all."""

import contextlib
import errno
import os
import secrets
from pathlib import Path

from subdatasets.errors import DataError


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` beside `path` under a hidden name, then rename it; folders are made as needed.

    `durable` waits until the bytes are on the disk. Leave it off for thousands of small files that can be made again.

    Raises:
        DataError: nothing can be written there. (A full disk stays an OSError, for it is no mistake of the call.)
    """
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EEXIST, errno.ENOTDIR):
            raise DataError(f"{path} cannot be written ({error.strerror}): choose another destination") from error
        raise
