"""Rows and problems that reading a sub-dataset leniently yields: what makes sense, and what is wrong where."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from subdatasets.errors import DataError

NAMED = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where.

    An `error` makes the sub-dataset unusable as it stands, a `warning` does not. `line` counts from 1, the header
    being line 1; it is None where the file has no lines (a folder, an image).
    """

    severity: Literal["error", "warning"]
    file: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{place(self.file, self.line)}: {self.message}"


def place(file: Path, line: int | None) -> str:
    """`file` or `file, line 7`."""
    return str(file) if line is None else f"{file}, line {line}"


def refusal(source: Path, problems: Sequence[Problem]) -> DataError:
    """The error that counts all `problems` of `source` and names the first five."""
    if len(problems) == 1:
        return DataError(str(problems[0]))
    parts = []
    for problem in problems[:NAMED]:
        if problem.file != source:
            parts.append(str(problem))
        elif problem.line is None:
            parts.append(problem.message)
        else:
            parts.append(f"line {problem.line}: {problem.message}")
    count = f"{len(problems)} problems"
    if len(problems) > NAMED:
        count += f", of which the first {NAMED} are"
    error = DataError(f"{source}: {count}: {'; '.join(parts)}")
    error.problems = tuple(problems)
    return error


# How people name the three splits, in any case.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled image; `split` is "" where none is given."""

    path: Path
    label: str
    split: str
    group: str | None
    line: int | None


@dataclass
class Reading:
    """The rows of one source; `values` holds the labels of the rows and of empty value folders.

    `passed_over` counts the files and rows that were left out without being a mistake, by reason. `drawn` says what
    splits that the source does not say were drawn from, "" where it says them.
    """

    name: str
    source: Path
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    values: set[str] = field(default_factory=set)
    passed_over: dict[str, int] = field(default_factory=dict)
    drawn: str = ""

    @property
    def has_errors(self) -> bool:
        """Whether anything makes the source unusable."""
        return any(problem.severity == "error" for problem in self.problems)

    def error(self, message: str, line: int | None = None, file: Path | None = None) -> None:
        """Record what makes the source unusable."""
        self.problems.append(Problem("error", file or self.source, line, message))

    def warning(self, message: str, line: int | None = None, file: Path | None = None) -> None:
        """Record what the user should know."""
        self.problems.append(Problem("warning", file or self.source, line, message))

    def pass_over(self, count: int, reason: str) -> None:
        """Count files or rows that are left out."""
        self.passed_over[reason] = self.passed_over.get(reason, 0) + count

    def report(self, row: Row, message: str, *, warning: bool = False) -> None:
        """Record a problem of one row, at its line, or at its file where there are no lines."""
        file = self.source if row.line is not None else row.path
        self.problems.append(Problem("warning" if warning else "error", file, row.line, message))
