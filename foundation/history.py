"""The history of a run, one JSON object per line, and the type of callback that hears its progress.

A line is handed to the operating system as a whole, so that a killed process loses at most the line it was writing; a
torn last line is cut off on opening and ignored on reading. Reports read histories too.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foundation.errors import UserError


class History:
    """Appends records to the file at `path`, which is created, with its folder, when it is not there.

    The file is open only while a record is written. One process writes; any number may read meanwhile.

    durable: a record is on the disk, not only with the operating system, when `append` returns: for what a person
    typed, which no second run can make again.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self.path = Path(path)
        self.durable = durable
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        self._size = _whole(self.path.read_bytes())
        os.truncate(self.path, self._size)

    @property
    def size(self) -> int:
        """Bytes written so far: what a checkpoint keeps, to `truncate` to on resuming."""
        return self._size

    def append(self, kind: str, **fields: Any) -> None:
        """Write one record. Arrays and tensors become lists; numbers that are not finite become null.

        Raises OSError when it cannot be written, as on a full disk; the file then still ends with a whole line.
        """
        line = json.dumps(_plain({"kind": kind, **fields}), ensure_ascii=False, allow_nan=False) + "\n"
        data = line.encode()
        try:
            with open(self.path, "ab", buffering=0) as file:
                left = memoryview(data)
                while left:
                    left = left[file.write(left) :]
                if self.durable:
                    os.fsync(file.fileno())
        except BaseException:
            os.truncate(self.path, self._size)
            raise
        self._size += len(data)

    def require(self, size: int) -> None:
        """Refuse a file that is shorter than its checkpoint says, or has no end of a line there: it is not that file.

        Raises UserError.
        """
        if not 0 <= size <= self._size:
            raise UserError(
                f"{self.path} has {self._size} bytes where its checkpoint counts {size}: the file was cut or replaced; "
                "restore it, or delete the search's folder to start anew."
            )
        if size:
            with open(self.path, "rb") as file:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    raise UserError(f"Byte {size} of {self.path} is inside a record: give a size that `size` returned.")

    def truncate(self, size: int) -> None:
        """Forget what was written after the first `size` bytes.

        Raises UserError when the file is shorter than that, or `size` is not the end of a line.
        """
        self.require(size)
        os.truncate(self.path, size)
        self._size = size


def read_history(path: Path) -> list[dict[str, Any]]:
    """The records of the file at `path`, oldest first, without a torn last line.

    Raises UserError naming the line that is not a record, OSError when the file cannot be read.
    """
    data = Path(path).read_bytes()
    records: list[dict[str, Any]] = []
    for number, line in enumerate(data[: _whole(data)].split(b"\n")[:-1], start=1):
        record = _record(line)
        if record is None:
            raise UserError(f"{path}, line {number} is not a record of a run: the file was damaged; restore it.")
        records.append(record)
    return records


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # neither JSON nor UTF-8, or brackets without end
        return None
    return record if isinstance(record, dict) and "kind" in record else None


def _whole(data: bytes) -> int:
    """The number of bytes before a torn last line: one without its end, or whose end came to disk before its start."""
    end = data.rfind(b"\n") + 1
    start = data.rfind(b"\n", 0, max(0, end - 1)) + 1
    return end if _record(data[start:end]) is not None else start


def _plain(value: Any) -> Any:
    """`value` in terms of JSON."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy arrays and numbers, torch tensors
        return _plain(value.tolist())
    raise TypeError(f"A history holds plain values, not {type(value).__name__}.")


# (stage, done, total, figures): done and total count whatever the stage counts; figures, such as a loss, by name
Progress = Callable[[str, int, int, Mapping[str, float]], None]
