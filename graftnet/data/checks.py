"""Check a project's sub-datasets, and write splits down that were drawn."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from foundation.history import Progress
from graftnet.project.draws import notes_of
from graftnet.project.folder import Project
from subdatasets.checks import check_subdatasets
from subdatasets.errors import DataError
from subdatasets.reading.draws import Notes, note_splits
from subdatasets.reading.problems import Problem
from subdatasets.reading.rows import read_rows
from subdatasets.splits import FRACTIONS


def check_project(project: Project, sources: Sequence[Path], *, progress: Progress | None = None) -> list[Problem]:
    """All problems of these sub-datasets of a project, split as its searches split them."""
    names = {source: name for name, source in project.sources().items()}

    def notebook(source: Path) -> Notes | None:
        return notes_of(project.runs, names[source], keep=False)

    return check_subdatasets(
        sources,
        seed=project.config.project.seed,
        white=project.config.data.white,
        notebook=notebook,
        progress=progress,
        memory=project.memory,
    )


def write_splits(project: Project, names: Sequence[str]) -> dict[str, Path]:
    """Write the splits of these attributes down where they were drawn; attribute -> the record that holds them.

    One that cannot be read is passed over: the check says why.
    """
    written = {}
    for name in names:
        notebook = partial(notes_of, project.runs, name, keep=False)
        try:
            reading = read_rows(
                project.source(name), seed=project.config.project.seed, fractions=FRACTIONS, notebook=notebook
            )
        except DataError:
            continue
        if not reading.has_errors and (record := note_splits(reading, project.memory)):
            written[name] = record
    return written


def problem_lines(problems: Sequence[Problem], *, checked: int) -> list[str]:
    """One line per problem, with file and line, and how many there are."""
    lines = [
        f"{problem.severity}: {problem.file}{f':{problem.line}' if problem.line else ''}: {problem.message}"
        for problem in problems
    ]
    errors = sum(problem.severity == "error" for problem in problems)
    return [*lines, f"{checked} sub-datasets checked: {errors} errors, {len(problems) - errors} warnings."]
