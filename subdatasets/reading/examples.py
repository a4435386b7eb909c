"""The examples of a sub-dataset as columns: paths in one buffer of bytes, labels and splits as small integers.

An :class:`Example` is made when it is asked for, and whoever goes through all of them keeps them; what counts, joins or
only looks on works on the columns.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from subdatasets.splits import SPLITS


@dataclass(frozen=True, slots=True)
class Example:
    """One image: its absolute path, the index of its value, its split, and where known its group and CSV line."""

    path: Path
    value: int
    split: str
    group: str | None = None
    line: int | None = None


@dataclass(frozen=True, eq=False)
class Paths:
    """N absolute paths: for each row which of the few beginnings it has, and the rest as a part of `data`."""

    beginnings: tuple[str, ...]
    which: NDArray[np.uint8]
    data: bytes | bytearray
    starts: NDArray[np.integer]
    ends: NDArray[np.integer]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Paths":
        """Paths as they are written."""
        parts = [os.fsencode(text) for text in texts]
        ends = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))
        starts = np.concatenate([np.zeros(min(1, len(parts)), np.int64), ends[:-1]])
        return cls(("",), np.zeros(len(parts), np.uint8), b"".join(parts), starts, ends)

    def __len__(self) -> int:
        return len(self.starts)

    def texts(self) -> list[str]:
        """All of them, written out."""
        data, beginnings = self.data, self.beginnings
        rows = zip(self.which.tolist(), self.starts.tolist(), self.ends.tolist(), strict=True)
        return [beginnings[which] + os.fsdecode(bytes(data[start:end])) for which, start, end in rows]

    def take(self, rows: NDArray[np.integer]) -> "Paths":
        """Those of these rows."""
        return Paths(self.beginnings, self.which[rows], self.data, self.starts[rows], self.ends[rows])


class Examples(Sequence[Example]):
    """N examples, a row each.

    paths: where the images are. values: (N,) index of each value. splits: (N,) index into `SPLITS`. groups: names, None
    where an image has none, or None for no groups at all. lines: (N,) of the table, 0 where there is none; or the
    first one, where they follow each other.
    """

    def __init__(
        self,
        paths: Paths,
        values: NDArray[np.integer],
        splits: NDArray[np.integer],
        groups: Sequence[str | None] | None = None,
        lines: NDArray[np.integer] | int | None = None,
    ) -> None:
        self.paths, self.groups, self.lines = paths, groups, lines
        self.values: NDArray[np.integer] = values
        self.splits: NDArray[np.integer] = splits
        self._made: tuple[Example, ...] | None = None

    @classmethod
    def of(cls, examples: "Sequence[Example]") -> "Examples":
        """Examples that were made one by one."""
        if isinstance(examples, Examples):
            return examples
        made = tuple(examples)
        number = {name: index for index, name in enumerate(SPLITS)}
        groups = [example.group for example in made]
        found = cls(
            Paths.of([str(example.path) for example in made]),
            np.array([example.value for example in made], dtype=np.int64),
            np.array([number[example.split] for example in made], dtype=np.uint8),
            groups if any(group is not None for group in groups) else None,
            np.array([example.line or 0 for example in made], dtype=np.int64),
        )
        found._made = made
        return found

    def texts(self) -> list[str]:
        """The paths, written out."""
        if self._made is not None:
            return [str(example.path) for example in self._made]
        return self.paths.texts()

    def take(self, rows: NDArray[np.integer]) -> "Examples":
        """Those of these rows, in the order given."""
        groups = None if self.groups is None else [self.groups[row] for row in rows.tolist()]
        lines = self.lines + rows if isinstance(self.lines, int) else None if self.lines is None else self.lines[rows]
        found = Examples(self.paths.take(rows), self.values[rows], self.splits[rows], groups, lines)
        if self._made is not None:
            found._made = tuple(self._made[row] for row in rows.tolist())
        return found

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, row: int) -> Example: ...

    @overload
    def __getitem__(self, row: slice) -> "Examples": ...

    def __getitem__(self, row: int | slice) -> "Example | Examples":
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        if self._made is not None:
            return self._made[row]
        number = range(len(self))[row]
        return self.take(np.array([number]))._all()[0]

    def __iter__(self) -> Iterator[Example]:
        return iter(self._all())

    def __add__(self, other: Sequence[Example]) -> tuple[Example, ...]:
        return (*self, *other)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Examples | tuple):
            return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": None}

    def _all(self) -> tuple[Example, ...]:
        if self._made is None:
            lines = np.zeros(len(self), np.int64) if self.lines is None else self.lines
            if isinstance(lines, int):
                lines = np.arange(lines, lines + len(self))
            rows = zip(
                self.paths.texts(),
                self.values.tolist(),
                self.splits.tolist(),
                self.groups or [None] * len(self),
                lines.tolist(),
                strict=True,
            )
            self._made = tuple(
                Example(Path(text), value, SPLITS[split], group, line or None)
                for text, value, split, group, line in rows
            )
        return self._made
