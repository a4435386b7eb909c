"""One thing that is wrong with a sub-dataset, and the one sentence that many of them make."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    return DataError(f"{source}: {count}: {'; '.join(parts)}")
