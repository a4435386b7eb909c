"""What reading a sub-dataset leniently yields: the rows that make sense, and all problems met on the way."""

from dataclasses import dataclass, field
from pathlib import Path

from subdatasets.problems import Problem

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
    """The rows of one source; `values` holds the labels of the rows and of empty value folders."""

    name: str
    source: Path
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    values: set[str] = field(default_factory=set)

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

    def report(self, row: Row, message: str, *, warning: bool = False) -> None:
        """Record a problem of one row, at its line, or at its file where there are no lines."""
        file = self.source if row.line is not None else row.path
        self.problems.append(Problem("warning" if warning else "error", file, row.line, message))
