"""Import sub-datasets into a project's data folder, join them to one label table, and describe both in words."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.history import Progress
from graftnet.errors import ConfigError
from graftnet.project.folder import Project
from graftnet.terminal.output import text_table
from subdatasets.attribute import Attribute
from subdatasets.importing.tables import import_table
from subdatasets.importing.write import ImportSummary
from subdatasets.labels.join import join_subdatasets
from subdatasets.labels.read import table_record
from subdatasets.labels.table import LabelTable
from subdatasets.subdataset import SubDataset, read_subdataset, write_subdataset

if TYPE_CHECKING:
    from subdatasets.reading.problems import Problem


def import_labels_table(
    project: Project, table: Path, images: Path, columns: Sequence[str] | None, *, seed: int
) -> ImportSummary:
    """One table with a column per attribute -> one CSV per attribute in the project's data folder."""
    return import_table(table, images, project.data, columns=columns or None, seed=seed)


def import_folder(project: Project, folder: Path, name: str, *, seed: int) -> ImportSummary:
    """A folder of values -> ``data/<name>.csv``, which points at the folder's images.

    Raises:
        ConfigError: the project has a sub-dataset of this name already.
        DataError: the folder is no sub-dataset.
    """
    target = project.data / f"{name}.csv"
    known = project.sources().get(name)
    if known is not None and known != target:
        raise ConfigError(f"{name} has a sub-dataset already, {known}; remove it or choose another --name.")
    subdataset = read_subdataset(folder.resolve(), seed=seed)
    renamed = replace(subdataset, attribute=Attribute(name, subdataset.attribute.values), source=target)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_subdataset(renamed, target)
    return ImportSummary((renamed,))


def count_lines(subdatasets: Sequence[SubDataset]) -> list[str]:
    """How many images of each value each split has, a line per attribute and split."""
    lines = []
    for subdataset in subdatasets:
        lines.append(f"{subdataset.attribute.name}: {len(subdataset.examples)} images ({subdataset.source})")
        for split, counts in subdataset.counts().items():
            lines.append(f"  {split:<6}" + ", ".join(f"{count} {value}" for value, count in counts.items()))
    return lines


def import_lines(summary: ImportSummary) -> list[str]:
    """What an import made, what it left out and why."""
    skipped = [f"left out: {each.column} {each.reason}" for each in summary.skipped]
    return [*count_lines(summary.subdatasets), *skipped, *(f"note: {note}" for note in summary.notes)]


def problem_lines(problems: "Sequence[Problem]", *, checked: int) -> list[str]:
    """One line per problem, with file and line, and how many there are."""
    lines = [
        f"{problem.severity}: {problem.file}{f':{problem.line}' if problem.line else ''}: {problem.message}"
        for problem in problems
    ]
    errors = sum(problem.severity == "error" for problem in problems)
    return [*lines, f"{checked} sub-datasets checked: {errors} errors, {len(problems) - errors} warnings."]


def project_table(project: Project, attributes: Sequence[str] = (), *, progress: Progress | None = None) -> LabelTable:
    """A project's attributes (all, without those that were mined from others) as one table, joined on image content.

    Raises:
        ConfigError: an attribute that the project lacks, or none at all.
        DataError: a sub-dataset or an image that cannot be read.
    """
    names = list(attributes) or project.questions()
    if not names:
        raise ConfigError(f"{project.data} has no sub-dataset; bring one in with `graftnet data import`.")
    subdatasets = [project.read(name) for name in names]
    return join_subdatasets(subdatasets, progress=progress)


def table_lines(table: LabelTable) -> list[str]:
    """The same for a person."""
    record = table_record(table)
    head = ("present", " absent", "unknown")
    rows = [(label, *(str(counts[state.strip()]) for state in head)) for label, counts in record["labels"].items()]
    lines = text_table([("label", *head), *rows], "<>>>")
    splits = ", ".join(f"{count} {split or 'without a split'}" for split, count in record["splits"].items())
    several, per_image = record["images_with_several_known"], record["labels_per_image"]
    lines.append(
        f"{len(table)} images ({splits}); {several} with several labels known, {per_image:.2f} present in each."
    )
    if record["pairs_never_known_together"]:
        lines.append(
            f"{record['pairs_never_known_together']} pairs of labels are known together in no image: "
            "their counts can only be estimated."
        )
    return [*lines, *(f"note: {note}" for note in table.notes)]
