"""Files inside tar and zip archives, read where they lie: an archive's name in a path stands for a folder.

`shards/000.tar/cat.jpg` and `photos.zip/yes/1.jpg` are paths as any others. An archive is looked through once; a member
is then read from its place, by several threads at a time. Compressed tars (`.tar.gz`) cannot be read in places.
"""

import os
import struct
import tarfile
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from subdatasets.errors import DataError
from subdatasets.files.stamps import ABSENT, Stamp, stamp_of

SUFFIXES = (".tar", ".zip")
_LOCAL = struct.Struct("<4s22xHH")  # of a zip: the signature, and the lengths of name and extra field


class Member(NamedTuple):
    """Where a file lies in an archive: its first byte (of a zip its header's), its bytes there and unpacked, how."""

    start: int
    packed: int
    size: int
    method: int | None = None  # of a zip


def is_archive(path: Path) -> bool:
    """Whether a file is an archive by its ending."""
    return path.suffix.casefold() in SUFFIXES and path.is_file()


def archive_of(path: str) -> tuple[str, str] | None:
    """The archive that a path leads into and the member's name; None where it leads into none."""
    folded = path.casefold()
    for suffix in SUFFIXES:
        at = folded.find(f"{suffix}/")
        while at >= 0:
            end = at + len(suffix)
            if os.path.isfile(path[:end]):
                return path[:end], path[end + 1 :]
            at = folded.find(f"{suffix}/", end)
    return None


def members(archive: str) -> dict[str, Member]:
    """The files in an archive, by name.

    Raises:
        DataError: it cannot be read as what its ending says.
    """
    return _index(archive, stamp_of(archive))


def member_stamp(path: str) -> Stamp:
    """The stamp of a file in an archive: its size, and the archive's times; `ABSENT` where there is none."""
    place = archive_of(path)
    if place is None:
        return ABSENT
    whole = stamp_of(place[0])
    try:
        member = _index(place[0], whole).get(place[1])
    except DataError:
        return ABSENT
    return ABSENT if member is None else whole._replace(size=member.size)


def read_member(path: str) -> bytes | None:
    """The bytes of a file in an archive; None where the path leads into none, or to nothing in it.

    Raises:
        DataError: the archive is damaged, or locked by a password. OSError: it cannot be read.
    """
    place = archive_of(path)
    if place is None:
        return None
    archive, name = place
    member = members(archive).get(name)
    if member is None:
        return None
    with open(archive, "rb") as file:
        file.seek(member.start)
        if member.method is not None:
            signature, named, extra = _LOCAL.unpack(file.read(_LOCAL.size))
            if signature != b"PK\3\4":
                raise DataError(f"{archive} is damaged where '{name}' lies: write it anew")
            file.seek(named + extra, os.SEEK_CUR)
        data = file.read(member.packed)
    try:
        if member.method == zipfile.ZIP_DEFLATED:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
        elif member.method not in (None, zipfile.ZIP_STORED):
            with zipfile.ZipFile(archive) as whole:
                data = whole.read(name)
    except (zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise DataError(f"'{name}' in {archive} cannot be unpacked ({error}): write the archive anew") from error
    if len(data) != member.size:
        raise DataError(f"'{name}' in {archive} is cut off: write the archive anew")
    return data


@lru_cache(maxsize=256)
def _index(archive: str, stamp: Stamp) -> dict[str, Member]:
    del stamp  # an archive that was written since is looked through again
    try:
        if archive.casefold().endswith(".zip"):
            with zipfile.ZipFile(archive) as whole:
                return {info.filename: _zipped(archive, info) for info in whole.infolist() if not info.is_dir()}
        with tarfile.open(archive, "r:") as tar:
            files = (info for info in tar if info.isreg() and not info.issparse())
            return {info.name.removeprefix("./"): Member(info.offset_data, info.size, info.size) for info in files}
    except (tarfile.TarError, zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        what = "zip" if archive.casefold().endswith(".zip") else "tar that is not compressed"
        raise DataError(f"{archive} cannot be read as a {what} ({error}): write it anew, or unpack it") from error


def _zipped(archive: str, info: zipfile.ZipInfo) -> Member:
    if info.flag_bits & 1:
        raise DataError(f"{archive} is locked by a password: unpack it")
    return Member(info.header_offset, info.compress_size, info.file_size, info.compress_type)
