"""Join a project's sub-datasets into a label table, and show a table on the command line."""

from collections.abc import Sequence

from foundation.progress import Progress
from graftnet.answer import text_table
from graftnet.errors import ConfigError
from graftnet.project import Project
from subdatasets.label_forms import table_record
from subdatasets.multilabel import LabelTable
from subdatasets.multilabel_join import join_subdatasets
from subdatasets.subdataset import read_subdataset


def project_table(project: Project, attributes: Sequence[str] = (), *, progress: Progress | None = None) -> LabelTable:
    """A project's attributes (all, without those that were mined from others) as one table, joined on image content.

    Raises:
        ConfigError: an attribute that the project lacks, or none at all.
        DataError: a sub-dataset or an image that cannot be read.
    """
    names = list(attributes) or project.questions()
    if not names:
        raise ConfigError(f"{project.data} has no sub-dataset; bring one in with `graftnet data import`.")
    subdatasets = [read_subdataset(project.source(name), seed=project.config.project.seed) for name in names]
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
