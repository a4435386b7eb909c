"""A folder of values -> one sub-dataset, a CSV that points at the folder's images."""

from collections.abc import Sequence
from pathlib import Path

from foundation.history import Progress
from subdatasets.attribute import Attribute, is_unknown
from subdatasets.files.memory import FileMemory
from subdatasets.importing.place import ImageList
from subdatasets.importing.write import ImportSummary, LabelColumn, write_attributes
from subdatasets.reading.problems import refusal
from subdatasets.reading.rows import read_rows
from subdatasets.reading.walk import leave_out_nowhere
from subdatasets.splits import FRACTIONS
from subdatasets.words import UNKNOWN


def import_folder(
    source: Path,
    name: str,
    destination: Path,
    *,
    unknown: Sequence[str] = UNKNOWN,
    positive: Sequence[str] = (),
    near_copies: bool = False,
    white: int = 0,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    replace: bool = False,
    progress: Progress | None = None,
    memory: FileMemory | None = None,
) -> ImportSummary:
    """Write `destination/<name>.csv` of the images below `<source>/[<split>/]<value>/`; they stay where they are.

    Args:
        source: the folder.
        name: of the attribute.
        destination: the folder to write to.
        unknown: value folders whose images are not labelled.
        positive: the positive value of two, `VALUE` or `NAME=VALUE`.
        near_copies: whether near copies of a picture share a split that is made.
        white: of grey pictures of 16 or 32 bits, where it is set; 0: it is not, and doubtful ones are told.
        seed: decides over splits that are not given.
        fractions: the shares of train, val and test where splits are not given.
        replace: put it in the place of a sub-dataset of that name, which is kept under a dated name.
        progress: hears the stage "images".
        memory: of files, which need not be read again.

    Raises:
        DataError: the folder is no sub-dataset, or something else is there already.
    """
    Attribute(name, ("no", "yes"))  # an unusable name is refused before anything is read
    source = source.resolve()
    reading = read_rows(source, seed=seed, fractions=fractions, draw=False)
    lost = leave_out_nowhere((row.path for row in reading.rows), reading)
    reading.rows = [row for row in reading.rows if row.path not in lost]
    used = {row.label for row in reading.rows}
    for value in sorted(reading.values - used):
        if not is_unknown(value, unknown):
            reading.error(f"the value folder '{value}' holds no image (add images, or remove the folder)")
    # The folder's own name may be anything: the attribute is called otherwise.
    errors = [
        each for each in reading.problems if each.severity == "error" and "cannot name an attribute" not in each.message
    ]
    if errors:
        raise refusal(source, errors)
    labels = [None if is_unknown(row.label, unknown) else row.label for row in reading.rows]
    if len({label for label in labels if label is not None}) < 2:
        held = ", ".join(f"'{value}'" for value in sorted(used)) or "no labelled image"
        reading.error(f"it holds only {held}: put the images into a folder for each of two or more values")
        raise refusal(source, reading.problems[-1:])
    images = ImageList(
        [row.path for row in reading.rows], [row.split for row in reading.rows], [row.group for row in reading.rows]
    )
    return write_attributes(
        [LabelColumn(name, labels, required=True)],
        images,
        destination,
        where=str(source),
        fractions=fractions,
        seed=seed,
        replace=replace,
        passed_over=reading.passed_over,
        positive=positive,
        near_copies=near_copies,
        white=white,
        progress=progress,
        memory=memory,
    )
