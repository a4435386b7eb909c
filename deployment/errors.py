"""Errors of this room: one sentence, or a line for each mistake in a file of rules."""

from collections.abc import Sequence
from pathlib import Path


class BundleError(ValueError):
    """A mistake of the caller about a bundle: one sentence that says what is wrong, where, and what to do."""


class RulesError(BundleError):
    """Everything that is wrong with a file of rules: `problems` holds (line, what is wrong there), in their order."""

    def __init__(self, path: Path, problems: Sequence[tuple[int, str]]) -> None:
        self.path, self.problems = path, sorted(problems)
        if len(self.problems) == 1:
            super().__init__(f"{path}, line {self.problems[0][0]}: {self.problems[0][1]}")
        else:
            listed = "; ".join(f"line {line}: {text}" for line, text in self.problems)
            super().__init__(f"{path}: {len(self.problems)} problems: {listed}")
