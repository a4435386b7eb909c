"""Check sub-datasets: everything that is wrong with them, file by file, without stopping at the first."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from foundation.history import Progress
from subdatasets.errors import DataError
from subdatasets.files.memory import FileMemory
from subdatasets.image_files import THREADS, Inspection, inspect_images
from subdatasets.reading.draws import Notes
from subdatasets.reading.problems import Problem, Reading, Row
from subdatasets.reading.record import read_import_record, recorded_counts
from subdatasets.reading.rows import inspect_counts, read_rows, row_place
from subdatasets.splits import FRACTIONS
from subdatasets.subdataset import SubDataset

__all__ = ["Problem", "check_subdataset", "check_subdatasets"]


def check_subdataset(
    source: SubDataset | Path,
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    white: int = 0,
    threads: int = THREADS,
    progress: Progress | None = None,
) -> list[Problem]:
    """All problems of one sub-dataset, errors first, then by file and line; every image is decoded.

    Errors: missing, unreadable or truncated images; unknown values; a value without image in a split; one image, by
    content, in two splits or with two labels. Warnings: repeats within a split, few images of a value, a group in two
    splits, files left out.

    Args:
        source: a folder, a CSV, or a sub-dataset already read.
        seed: as for `read_subdataset`, so that the same splits are checked.
        fractions: as for `read_subdataset`.
        white: of grey pictures of 16 or 32 bits, where it is set.
        threads: how many images are read at a time.
        progress: hears the stage "images".
    """
    return check_subdatasets([source], seed=seed, fractions=fractions, white=white, threads=threads, progress=progress)


def check_subdatasets(
    sources: Iterable[SubDataset | Path],
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    white: int = 0,
    notebook: Callable[[Path], Notes | None] = lambda source: None,
    threads: int = THREADS,
    progress: Progress | None = None,
    memory: FileMemory | None = None,
) -> list[Problem]:
    """All problems of several sub-datasets, each image file read once, and what is wrong between them.

    Between sub-datasets: one attribute described twice (error); images held out by one that another trains on
    (warning: a trunk trained on both has seen them). Arguments as `check_subdataset`; `notebook`: where the
    splits of a source that says none are noted; `memory`: of files, whose images need not be decoded again.
    """
    readings = [_reading(source, seed, fractions, white, notebook) for source in sources]
    paths = list(dict.fromkeys(row.path for reading in readings for row in reading.rows))
    inspections = inspect_images(paths, threads=threads, progress=progress, memory=memory)
    for reading in readings:
        _check_images(reading, inspections)
        _check_groups(reading)
    _check_names(readings)
    _check_held_out(readings, inspections)
    problems = set(chain.from_iterable(reading.problems for reading in readings))
    return sorted(problems, key=lambda each: (each.severity, str(each.file), each.line or 0, each.message))


def _reading(
    source: SubDataset | Path,
    seed: int,
    fractions: Sequence[float],
    white: int,
    notebook: Callable[[Path], Notes | None],
) -> Reading:
    if isinstance(source, SubDataset):
        values = source.attribute.values
        rows = [Row(each.path, values[each.value], each.split, each.group, each.line) for each in source.examples]
        reading = Reading(source.attribute.name, source.source, rows, [], set(values))
        inspect_counts(reading)
        return reading
    source = Path(source)
    try:
        reading = read_rows(source, seed=seed, fractions=fractions, notebook=partial(notebook, source))
        inspect_counts(reading)
        record = read_import_record(reading.source)
        for reason, count in recorded_counts(record).items():
            reading.warning(f"its import passed over {count:,} {reason}")
        deep = record.get("deep")
        if isinstance(deep, dict):
            note, brightest = deep.get("note"), deep.get("brightest")
            if isinstance(note, str) and isinstance(brightest, int) and brightest > white:
                reading.warning(note)
        return reading
    except DataError as error:
        reading = Reading(source.stem, source.absolute())
        reading.error(str(error))
        return reading


def _check_images(reading: Reading, inspections: Mapping[Path, Inspection]) -> None:
    same: dict[str, list[Row]] = defaultdict(list)
    for row in reading.rows:
        digest, wrong = inspections[row.path]
        if wrong is not None:
            reading.report(row, f"'{row.path}' {wrong} (replace the file, or leave it out)")
        if digest is not None:
            same[digest].append(row)
    for rows in same.values():
        for row in rows[1:]:
            _check_repeat(reading, rows, row)


def _check_repeat(reading: Reading, rows: Sequence[Row], row: Row) -> None:
    """Say how `row` disagrees with the first row of the same content; comparing with one keeps this linear."""
    first = rows[0]
    name = f"'{row.path.name}' is the same image as '{first.path.name}' in {row_place(first)}"
    if row.label != first.label:
        reading.report(row, f"{name}, but is labelled '{row.label}' and not '{first.label}' (keep one of the two)")
    if row.split != first.split:
        reading.report(row, f"{name}, but is in {row.split} and not in {first.split} (keep one of the two)")
    if (row.label, row.split) == (first.label, first.split):
        reading.report(row, f"{name} (keep one of the two)", warning=True)


def _check_groups(reading: Reading) -> None:
    first: dict[str, Row] = {}
    told: set[str] = set()
    for row in reading.rows:
        if row.group is None or row.group in told:
            continue
        other = first.setdefault(row.group, row)
        if other.split != row.split:
            told.add(row.group)
            message = f"the group '{row.group}' is in {row.split} here and in {other.split} in {row_place(other)}"
            reading.report(row, f"{message} (give a group one split)", warning=True)


def _check_names(readings: Sequence[Reading]) -> None:
    first: dict[str, Reading] = {}
    for reading in readings:
        other = first.setdefault(reading.name.casefold(), reading)
        if other is not reading:
            reading.error(f"it describes attribute '{reading.name}', as does {other.source} (rename or remove one)")


def _check_held_out(readings: Sequence[Reading], inspections: Mapping[Path, Inspection]) -> None:
    # Two distinct sub-datasets that train on an image are enough to answer "does another one?" for every sub-dataset.
    trained: dict[str, list[int]] = defaultdict(list)
    for number, reading in enumerate(readings):
        for row in reading.rows:
            digest = inspections[row.path][0]
            if digest is not None and row.split == "train":
                users = trained[digest]
                if len(users) < 2 and number not in users:
                    users.append(number)
    for number, reading in enumerate(readings):
        shared: list[tuple[Row, int]] = []
        for row in reading.rows:
            if row.split != "train":
                users = trained.get(inspections[row.path][0] or "", [])
                shared.extend((row, user) for user in users[:2] if user != number)
        rows = {id(row): row for row, _ in shared}
        if shared:
            row, user = shared[0]
            images = "image is" if len(rows) == 1 else "images are"
            reading.warning(
                f"{len(rows)} val or test {images} trained on by another sub-dataset, such as '{row.path.name}' in "
                f"{row_place(row)} by '{readings[user].name}' (give an image one split for all attributes)"
            )
