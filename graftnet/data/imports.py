"""Import sub-datasets into a project's data folder, join them to one label table, and describe both in words."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foundation.history import Progress
from graftnet.data.checks import write_splits
from graftnet.errors import ConfigError
from graftnet.project.folder import Project
from graftnet.terminal.output import Answer, text_table
from subdatasets.importing.folder import import_folder
from subdatasets.importing.tables import import_table
from subdatasets.importing.write import ImportSummary
from subdatasets.labels.join import join_subdatasets
from subdatasets.labels.read import table_record, write_label_csv
from subdatasets.labels.table import LabelTable
from subdatasets.reading.rows import FEW
from subdatasets.subdataset import SubDataset, image_hashes
from subdatasets.words import UNKNOWN


@dataclass(frozen=True)
class ImportChoices:
    """What a call of `graftnet data import` decides; the first five are of a table alone."""

    only: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    several: tuple[str, ...] = ()
    path_column: str | None = None
    split_column: str | None = None
    group_column: str | None = None
    encoding: str | None = None
    unknown: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    near_copies: bool = False
    replace: bool = False

    @property
    def of_all(self) -> dict[str, Any]:
        """What goes for a table and for a folder."""
        return {
            "unknown": (*UNKNOWN, *self.unknown),
            "positive": self.positive,
            "near_copies": self.near_copies,
            "replace": self.replace,
        }

    @property
    def table_options(self) -> list[str]:
        """The options given that a folder has no use for."""
        given = {
            "--only": self.only,
            "--except": self.leave_out,
            "--several": self.several,
            "--path-column": self.path_column,
            "--split-column": self.split_column,
            "--group-column": self.group_column,
            "--encoding": self.encoding,
        }
        return [option for option, value in given.items() if value]


PLAIN = ImportChoices()


def import_labels_table(
    project: Project,
    table: Path,
    images: Path,
    choices: ImportChoices = PLAIN,
    *,
    seed: int,
    progress: Progress | None = None,
) -> ImportSummary:
    """One table with a column per attribute -> one CSV per attribute in the project's data folder.

    Raises:
        DataError: the table cannot be used, or a sub-dataset with other content is there and is not to be replaced.
    """
    if choices.replace:  # what stands there may be split without saying so, and its images are to stay where they are
        write_splits(project, [name for name, source in project.sources().items() if source.is_file()])
    return import_table(
        table,
        images,
        project.data,
        columns=choices.only or None,
        leave_out=choices.leave_out,
        several=choices.several,
        file_column=choices.path_column,
        split_column=choices.split_column,
        group_column=choices.group_column,
        encoding=choices.encoding,
        seed=seed,
        progress=progress,
        white=project.config.data.white,
        memory=project.memory,
        **choices.of_all,
    )


def import_into(
    project: Project,
    folder: Path,
    name: str,
    choices: ImportChoices = PLAIN,
    *,
    seed: int,
    progress: Progress | None = None,
) -> ImportSummary:
    """A folder of values -> ``data/<name>.csv``, which points at the folder's images.

    Raises:
        ConfigError: the project has a folder of this name as sub-dataset, or an option goes with tables alone.
        DataError: the folder is no sub-dataset, or another sub-dataset is there and is not to be replaced.
    """
    if choices.table_options:
        raise ConfigError(f"{choices.table_options[0]} goes with a table, and {folder} is a folder; leave it out.")
    known = project.sources().get(name)
    if known is not None and known.is_dir():
        raise ConfigError(
            f"{name} has a sub-dataset already, the folder {known}; move it out of "
            f"{project.data}, or choose another name."
        )
    if choices.replace and known is not None:
        write_splits(project, [name])
    return import_folder(
        folder,
        name,
        project.data,
        white=project.config.data.white,
        seed=seed,
        progress=progress,
        memory=project.memory,
        **choices.of_all,
    )


def import_record(summary: ImportSummary) -> dict[str, Any]:
    """What an import made, as plain values."""
    return {
        "attributes": {subdataset.attribute.name: subdataset.counts() for subdataset in summary.subdatasets},
        "positive": {name: asdict(positive) for name, positive in summary.positive.items()},
        "splits": summary.drawn,
        "passed_over": dict(summary.passed_over),
        "skipped": {each.column: each.reason for each in summary.skipped},
        "replaced": [str(path) for path in summary.kept],
        "notes": [*summary.notes, *few_notes(summary.subdatasets)],
    }


def few_notes(subdatasets: Sequence[SubDataset]) -> list[str]:
    """A sentence for each attribute that so few images of a value test that its figures mean little."""
    notes = []
    for subdataset in subdatasets:
        few = [f"{count} '{value}'" for value, count in subdataset.counts()["test"].items() if 0 < count < FEW]
        if few:
            notes.append(f"{subdataset.attribute.name} has only {' and '.join(few)} in test: figures will say little")
    return notes


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
    lines = count_lines(summary.subdatasets)
    for name, positive in summary.positive.items():
        decide = "" if positive.chosen else f"; --positive {name}=VALUE decides otherwise"
        lines.append(f"{name}: '{positive.value}' is the positive value ({positive.why}{decide})")
    lines += [f"passed over: {count:,} {reason}" for reason, count in summary.passed_over.items()]
    lines += [f"left out: {each.column} {each.reason}" for each in summary.skipped]
    lines += [f"kept: {path}" for path in summary.kept]
    return [*lines, *(f"note: {note}" for note in [*summary.notes, *few_notes(summary.subdatasets)])]


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
    hashes = image_hashes(subdatasets, progress=progress, memory=project.memory)
    return join_subdatasets(subdatasets, hashes=hashes)


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


def told_table(table: LabelTable, output: Path | None, *, replace: bool) -> Answer:
    """The table in words, written to a file where one is named; ``replace``: what is there is kept beside it."""
    written = []
    if output is not None:
        kept = write_label_csv(table, output, replace=replace)
        written = [f"written to {output}", *([f"kept: {kept}"] if kept else [])]
    return Answer({**table_record(table), "file": output}, "\n".join([*table_lines(table), *written]))
