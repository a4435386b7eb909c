"""Read image files wherever they lie: on disk, inside an archive, or in an object store."""

import os
import stat
import time
from collections.abc import Iterable
from typing import NamedTuple

from subdatasets.errors import DataError
from subdatasets.files.archives import archive_of, member_stamp, read_member
from subdatasets.files.remote import Lists, read_url, url_of
from subdatasets.files.stamps import ABSENT, Stamp


class Bytes(NamedTuple):
    """What a file holds, its stamp (`ABSENT`: it changed meanwhile, or none can be had), and when that was taken."""

    data: bytes
    stamp: Stamp
    looked: int


def read(path: str) -> Bytes:
    """A file's bytes.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    url = url_of(path)
    if url is not None:
        return _read_object(url)
    try:
        with open(path, "rb") as file:
            looked, before = time.time_ns(), Stamp.of(os.fstat(file.fileno()))
            data = file.read()
            after = Stamp.of(os.fstat(file.fileno()))
            return Bytes(data, before if before == after else ABSENT, looked)
    except (FileNotFoundError, NotADirectoryError) as error:
        found = _read_member(path)
        if found is None:
            raise DataError(f"there is no image {path}: correct the path, or leave it out") from error
        return found
    except OSError as error:
        raise _unreadable(path, error) from error


def exists(path: str) -> bool:
    """Whether there is such a file; an object of a store counts as there until it is read."""
    return url_of(path) is not None or os.path.isfile(path) or member_stamp(path) != ABSENT


def stamps_of(paths: Iterable[str]) -> list[Stamp]:
    """The stamp of each file; `ABSENT` where there is none, or something else of that name.

    Raises:
        DataError: a store cannot be reached.
    """
    stamps: list[Stamp] = []
    lists = Lists()
    for path in paths:
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            url = url_of(path)
            stamps.append(member_stamp(path) if url is None else lists.stamp(url))
            continue
        stamps.append(Stamp.of(status) if stat.S_ISREG(status.st_mode) else ABSENT)
    return stamps


def on_disk(path: str) -> str | None:
    """The file on disk whose stamp changes when the one of this path does: itself or its archive; None: no such one."""
    if url_of(path) is not None:
        return None
    place = archive_of(path)
    return path if place is None else place[0]


def _read_member(path: str) -> Bytes | None:
    looked, before = time.time_ns(), member_stamp(path)
    try:
        data = read_member(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return None if data is None else Bytes(data, before if before == member_stamp(path) else ABSENT, looked)


def _read_object(url: str) -> Bytes:
    # To ask for the stamp of each would be another call: whoever reads many has listed them before.
    return Bytes(read_url(url), ABSENT, time.time_ns())


def _unreadable(path: str, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read ({error.strerror}): check the file and its permissions")
