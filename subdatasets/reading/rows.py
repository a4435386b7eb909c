"""Both forms of a sub-dataset, read leniently into rows with settled labels and splits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from subdatasets.attribute import (
    contradiction,
    is_attribute_name,
    name_rule,
    ordered_values,
    spellings,
)
from subdatasets.errors import DataError
from subdatasets.reading.draws import Notebook, draw_splits
from subdatasets.reading.forms import REPEATED, read_csv_rows, read_folder_rows
from subdatasets.reading.problems import Reading, Row
from subdatasets.reading.shards import read_shard_rows, require_archives, shards_of
from subdatasets.splits import SPLITS

# Fewer examples of a value in a split than this give figures that mean little.
FEW = 10


def read_rows(
    source: Path,
    *,
    seed: int,
    fractions: Sequence[float],
    draw: bool = True,
    notebook: Notebook | None = None,
) -> Reading:
    """Read a folder or CSV; every row of the result has a canonical label and a split, and no path occurs twice.

    Args:
        source: the folder or table, an archive, or a folder of archives.
        seed: decides over splits that are not given.
        fractions: the shares of train, val and test where splits are not given.
        draw: whether splits that are not given are made; otherwise they stay "", and val may be missing.
        notebook: where those that are made of each image's content are noted, so that they stay; without one they are
            made of the whole list.

    Raises:
        DataError: nothing can be read at all (no such file or folder, no table, unusable fractions).
    """
    source = source.absolute()
    require_archives(source)
    if shards := shards_of(source):
        reading = read_shard_rows(source, shards)
    elif source.is_dir():
        try:
            reading = read_folder_rows(source)
        except OSError as error:
            place_of = error.filename or source
            raise DataError(f"{place_of} cannot be read ({error.strerror}): check its permissions") from error
    elif source.exists():
        reading = read_csv_rows(source)
    else:
        raise DataError(f"there is no folder or CSV {source}: check the path")
    _settle_name(reading)
    _settle_labels(reading)
    _settle_repeats(reading)
    if draw:
        draw_splits(reading, seed=seed, fractions=fractions, notebook=notebook)
    return reading


def inspect_counts(reading: Reading) -> None:
    """Record empty and tiny classes: every value must occur in train, in val, and in test where there is a test.

    `reading` must be settled: canonical labels, a split for every row.
    """
    values = ordered_values(reading.values)
    if not reading.rows:
        if not reading.has_errors:
            reading.error("it holds no labelled image (add images below <split>/<value>/, or rows to the CSV)")
        return
    if len(values) < 2:
        reading.error(f"it has only one value, '{values[0]}' (add images of a second one)")
        return
    counts = Counter((row.split, row.label) for row in reading.rows)
    sizes = Counter(row.split for row in reading.rows)
    for split in ("train", "val"):
        if not sizes[split]:
            reading.error(f"there is no image in split '{split}' (put some of each value there)")
    if not sizes["test"]:
        reading.warning("there is no image in split 'test', so nothing can be measured at the end")
    used = [split for split in SPLITS if sizes[split]]
    for value in values:
        missing = [split for split in used if not counts[split, value]]
        if missing:
            reading.error(
                f"the value '{value}' has no image in {' and '.join(missing)}{_rare(reading, value)} "
                "(add images, correct a misspelt label, or drop the value)"
            )
        for split in used:
            if 0 < counts[split, value] < FEW:
                few = "1 image" if counts[split, value] == 1 else f"{counts[split, value]} images"
                reading.warning(f"the value '{value}' has only {few} in {split}")


def rarest(counts: Mapping[str, int]) -> tuple[str, int]:
    """The value with the fewest images, and how many."""
    value = min(counts, key=lambda name: counts[name])
    return value, counts[value]


def too_few_words(value: str, images: int, split: str) -> str:
    """What stands in the place of every verdict that fewer than `FEW` images of a value would carry."""
    return f"too few {split} images of {value!r} ({images}, it takes {FEW}) to tell"


def few_sentence(name: str, counts: Mapping[str, Mapping[str, int]]) -> str:
    """What to know before a search of `name`: splits with fewer than `FEW` images of a value; empty where none has.

    counts: split -> value -> images.
    """
    rare = {split: rarest(values) for split, values in counts.items() if any(values.values())}
    few = [f"{count} of {value!r} in {split}" for split, (value, count) in rare.items() if count < FEW]
    if not few:
        return ""
    return (
        f"{name} has few images: {', '.join(few)}; with fewer than {FEW} of a value, val chooses by chance and test "
        "tells no gain, so add images of it."
    )


def _rare(reading: Reading, value: str) -> str:
    """Where a value is met, if that is in so few places that it may be a slip."""
    rows = [row for row in reading.rows if row.label == value]
    return f", and is met only in {', '.join(map(row_place, rows))}" if 0 < len(rows) <= 3 else ""


def row_place(row: Row) -> str:
    """How a message about another row names this one."""
    return f"line {row.line}" if row.line is not None else f"'{row.path}'"


def _settle_name(reading: Reading) -> None:
    if not is_attribute_name(reading.name):
        reading.error(f"the name '{reading.name}' cannot name an attribute (rename it: {name_rule(reading.name)})")


def _settle_labels(reading: Reading) -> None:
    canonical = spellings(reading.values)
    reading.rows = [Row(row.path, canonical[row.label], row.split, row.group, row.line) for row in reading.rows]
    reading.values = set(canonical.values())
    wrong = contradiction(reading.values)
    if wrong is not None:
        first: dict[str, str] = {}
        for row in reading.rows:
            first.setdefault(row.label, row_place(row))
        places = ", ".join(f"'{value}' in {first[value]}" for value in sorted(first)[:4])
        reading.error(f"{wrong}: first met {places}")
    for value in sorted(reading.values):
        if not value.isprintable():
            reading.error(f"the value {value!r} holds characters that cannot be shown (write plain text)")


def _settle_repeats(reading: Reading) -> None:
    first: dict[Path, Row] = {}
    for row in reading.rows:
        other = first.setdefault(row.path, row)
        if other is row:
            continue
        where = row_place(other)
        if other.label != row.label:
            message = f"'{row.path.name}' is '{row.label}' here and '{other.label}' in {where} (keep one row)"
            reading.report(row, message)
        elif other.split != row.split:
            message = f"'{row.path.name}' is in {row.split} here and in {other.split} in {where} (keep one row)"
            reading.report(row, message)
        else:
            reading.pass_over(1, REPEATED)
            reading.report(row, f"'{row.path.name}' repeats {where} and is counted once", warning=True)
    reading.rows = list(first.values())
