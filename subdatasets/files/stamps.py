"""Stamps of files: size, times and inode, by which a file is known to be the one that was looked at before.

Light on purpose: whoever only asks whether anything has changed imports neither numpy nor Pillow.
"""

import os
from typing import NamedTuple

RACY = 2_000_000_000  # ns; the coarsest clock of a file system in use, FAT's


class Stamp(NamedTuple):
    """What tells whether a file is still the one that was looked at: bytes, ns, ns, and its number on the disk."""

    size: int
    mtime: int
    ctime: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        inode = status.st_ino  # of 64 bits on some systems; SQLite and int64 hold them with a sign
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode - 2**64 if inode >= 2**63 else inode)


ABSENT = Stamp(-1, -1, -1, -1)


def stamp_of(path: str | os.PathLike[str]) -> Stamp:
    """The stamp of a file or folder; `ABSENT` where there is none, or none can be had."""
    try:
        return Stamp.of(os.stat(path))
    except (OSError, ValueError):
        return ABSENT


def settled(stamp: Stamp, looked: int) -> bool:
    """Whether a write after the time `looked` (ns) gives another stamp for certain.

    As in git's index ("racy git"): a second write in the granularity of the file system's clock leaves the times.
    """
    return max(stamp.mtime, stamp.ctime) + RACY <= looked
