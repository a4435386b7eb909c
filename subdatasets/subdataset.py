"""A sub-dataset: the images labelled for one attribute, as a folder tree or a CSV on disk.

GraftNet (2020), section 3.1: a new attribute needs a small set of images labelled for it alone, and no other
sub-dataset is touched.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foundation.files import write_bytes, write_json
from subdatasets.attribute import Attribute, attribute_of, ordered_values
from subdatasets.errors import DataError
from subdatasets.reading.draws import Notebook
from subdatasets.reading.problems import refusal
from subdatasets.reading.record import read_import_record, record_path, recorded_order
from subdatasets.reading.rows import inspect_counts, read_rows
from subdatasets.reading.tables import Locations
from subdatasets.splits import FRACTIONS, SPLITS

__all__ = ["SPLITS", "Example", "SubDataset", "csv_bytes", "read_subdataset", "write_subdataset"]


@dataclass(frozen=True, slots=True)
class Example:
    """One image: its absolute path, the index of its value, its split, and where known its group and CSV line."""

    path: Path
    value: int
    split: str
    group: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class SubDataset:
    """An attribute and its examples; `source` is the folder or CSV they were read from.

    `drawn`: what its splits were drawn from, "content" or "list"; "" where the source says them itself.
    """

    attribute: Attribute
    examples: tuple[Example, ...]
    source: Path
    drawn: str = field(default="", compare=False)

    def split(self, name: str) -> tuple[Example, ...]:
        """The examples of one split, in order.

        Raises:
            DataError: `name` is none of train, val, test.
        """
        if name not in SPLITS:
            raise DataError(f"there is no split '{name}': use one of {', '.join(SPLITS)}")
        return tuple(example for example in self.examples if example.split == name)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many examples each split has of each value, zeros included."""
        table = {split: dict.fromkeys(self.attribute.values, 0) for split in SPLITS}
        for example in self.examples:
            table[example.split][self.attribute.values[example.value]] += 1
        return table

    def digest(self, hashes: Mapping[Path, str]) -> str:
        """SHA-256 (64 hexadecimal digits) of what is learnt from: attribute, values, and every image's content.

        Moving or renaming files or reordering rows changes nothing; another label, split or pixel does.

        Args:
            hashes: the content hash of every example's path, as `content_hashes` gives them.
        """
        head = json.dumps([self.attribute.name, list(self.attribute.values)], ensure_ascii=True)
        lines = sorted(f"{hashes[example.path]} {example.value} {example.split}" for example in self.examples)
        return hashlib.sha256("\n".join([head, *lines]).encode("ascii")).hexdigest()

    def shared(self, hashes: Mapping[Path, str]) -> dict[str, int]:
        """How many images a later split holds of what an earlier one holds too, byte by byte: "train/test" -> number.

        Where it is not empty, what is measured on the later split is too good. `hashes` as for `digest`.
        """
        lists = {split: [hashes[example.path] for example in self.split(split)] for split in SPLITS}
        sets = {split: set(contents) for split, contents in lists.items()}
        pairs = (("train", "val"), ("train", "test"), ("val", "test"))
        found = {f"{one}/{other}": sum(each in sets[one] for each in lists[other]) for one, other in pairs}
        return {pair: count for pair, count in found.items() if count}


def read_subdataset(
    source: Path,
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    notebook: Notebook | None = None,
) -> SubDataset:
    """Read a sub-dataset; its name is the folder's, or the CSV's without suffix.

    A folder holds `<split>/<value>/<images>`, or `<value>/<images>`; a CSV has the columns `path` and `label`, and
    where wanted `split` and `group`. Paths in a CSV are absolute or count from the CSV's folder. Without splits they
    are made (`stratified_splits`); with train and test alone, val is taken out of train.

    Args:
        source: the folder or CSV.
        seed: decides over splits that are not given.
        fractions: the shares of train, val and test where splits are not given.
        notebook: where these are noted when they are drawn by content, so that they stay when images are added.

    Raises:
        DataError: anything that makes it unusable, all problems counted and the first five named.
    """
    source = Path(source)
    reading = read_rows(source, seed=seed, fractions=fractions, notebook=notebook)
    # Rows left out for an error would make the counts wrong too, and hide the cause behind its consequence.
    if not reading.has_errors:
        inspect_counts(reading)
    if reading.has_errors:
        errors = [problem for problem in reading.problems if problem.severity == "error"]
        raise refusal(reading.source, errors)
    order = recorded_order(read_import_record(reading.source), reading.values)
    attribute = Attribute(reading.name, order) if order else attribute_of(reading.name, reading.values)
    index = {value: position for position, value in enumerate(attribute.values)}
    examples = tuple(Example(row.path, index[row.label], row.split, row.group, row.line) for row in reading.rows)
    return SubDataset(attribute, examples, reading.source, reading.drawn)


def write_subdataset(subdataset: SubDataset, csv_path: Path) -> None:
    """Write `path,label,split[,group]`, UTF-8, all at once; `read_subdataset` gives the same examples back.

    Raises:
        DataError: the file is not named after the attribute, or an image's name is not valid text.
    """
    name = subdataset.attribute.name
    if csv_path.name != f"{name}.csv":
        raise DataError(f"{csv_path} is to hold attribute '{name}': call it {name}.csv, for the name is read from it")
    values = subdataset.attribute.values
    data = csv_bytes(subdataset, csv_path.parent)
    record = read_import_record(csv_path)
    if record or values != ordered_values(values, name):
        write_json(record_path(csv_path), {**record, "values": list(values)})
    write_bytes(csv_path, data, error=DataError)


def csv_bytes(subdataset: SubDataset, folder: Path) -> bytes:
    """The CSV that describes a sub-dataset when it lies in `folder`."""
    locations = Locations(folder)
    values = subdataset.attribute.values
    grouped = any(example.group is not None for example in subdataset.examples)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "split", *(["group"] if grouped else [])])
    for example in subdataset.examples:
        group = [example.group or ""] if grouped else []
        cell = locations.cell(example.path)
        if cell != cell.strip():
            raise DataError(f"the image {example.path} has a name that begins or ends with a space: rename the file")
        writer.writerow([cell, values[example.value], example.split, *group])
    try:
        return text.getvalue().encode("utf-8")
    except UnicodeEncodeError as error:
        name = error.object[max(0, error.start - 40) : error.end + 20]
        raise DataError(f"an image's name near {name!r} is not valid text: rename the file") from error
