"""A sub-dataset: the images labelled for one attribute, as a folder tree or a CSV on disk.

GraftNet (2020), section 3.1: a new attribute needs a small set of images labelled for it alone, and no other
sub-dataset is touched.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from foundation.files import write_bytes, write_json
from foundation.history import Progress
from subdatasets.attribute import Attribute, attribute_of, ordered_values
from subdatasets.errors import DataError
from subdatasets.files.memory import FileMemory
from subdatasets.image_files import content_hashes
from subdatasets.reading.draws import Notebook
from subdatasets.reading.examples import Example, Examples
from subdatasets.reading.large import read_plain
from subdatasets.reading.problems import refusal
from subdatasets.reading.record import read_import_record, record_path, recorded_order
from subdatasets.reading.rows import inspect_counts, read_rows
from subdatasets.reading.tables import PARQUET, Locations
from subdatasets.splits import FRACTIONS, SPLITS

__all__ = ["SPLITS", "Example", "SubDataset", "csv_bytes", "read_subdataset", "write_subdataset"]


@dataclass(frozen=True, slots=True)
class SubDataset:
    """An attribute and its examples, kept as columns; `source` is the folder or table they were read from.

    `drawn`: what its splits were drawn from, "content" or "list"; "" where the source says them itself.
    """

    attribute: Attribute
    examples: Sequence[Example]
    source: Path
    drawn: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "examples", Examples.of(self.examples))

    @property
    def columns(self) -> Examples:
        """The examples, as they are kept."""
        assert isinstance(self.examples, Examples)
        return self.examples

    def split(self, name: str) -> Examples:
        """The examples of one split, in order.

        Raises:
            DataError: `name` is none of train, val, test.
        """
        if name not in SPLITS:
            raise DataError(f"there is no split '{name}': use one of {', '.join(SPLITS)}")
        return self.columns.take(np.flatnonzero(self.columns.splits == SPLITS.index(name)))

    def counts(self) -> dict[str, dict[str, int]]:
        """How many examples each split has of each value, zeros included."""
        values, examples = self.attribute.values, self.columns
        cells = examples.splits.astype(np.int64) * len(values) + examples.values
        table = np.bincount(cells, minlength=len(SPLITS) * len(values)).reshape(len(SPLITS), -1).tolist()
        return {split: dict(zip(values, counts, strict=True)) for split, counts in zip(SPLITS, table, strict=True)}

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
    plain = read_plain(source)
    if plain is not None:
        attribute = _attribute(source.absolute(), source.stem, set(plain.labels))
        order = np.array([attribute.values.index(label) for label in plain.labels], dtype=np.int16)
        found = plain.examples
        examples = Examples(found.paths, order[found.values], found.splits, found.groups, found.lines)
        return SubDataset(attribute, examples, source.absolute())
    reading = read_rows(source, seed=seed, fractions=fractions, notebook=notebook)
    # Rows left out for an error would make the counts wrong too, and hide the cause behind its consequence.
    if not reading.has_errors:
        inspect_counts(reading)
    if reading.has_errors:
        errors = [problem for problem in reading.problems if problem.severity == "error"]
        raise refusal(reading.source, errors)
    attribute = _attribute(reading.source, reading.name, reading.values)
    index = {value: position for position, value in enumerate(attribute.values)}
    made = [Example(row.path, index[row.label], row.split, row.group, row.line) for row in reading.rows]
    return SubDataset(attribute, Examples.of(made), reading.source, reading.drawn)


def _attribute(source: Path, name: str, values: set[str]) -> Attribute:
    """The attribute with these values, in the order that is recorded beside its source, if any is."""
    order = recorded_order(read_import_record(source), values)
    return Attribute(name, order) if order else attribute_of(name, values)


def image_hashes(
    subdatasets: Iterable[SubDataset], *, progress: Progress | None = None, memory: FileMemory | None = None
) -> dict[Path, str]:
    """`content_hashes` of all images of these sub-datasets; what they share is looked at once."""
    texts = dict.fromkeys(chain.from_iterable(subdataset.columns.texts() for subdataset in subdatasets))
    return content_hashes(map(Path, texts), progress=progress, memory=memory)


def write_subdataset(subdataset: SubDataset, csv_path: Path) -> None:
    """Write `path,label,split[,group]` as CSV (UTF-8) or, by the ending, as Parquet; all at once.

    `read_subdataset` gives the same examples back.

    Raises:
        DataError: the file is not named after the attribute, or an image's name is not valid text.
    """
    name = subdataset.attribute.name
    if csv_path.name not in (f"{name}.csv", f"{name}{PARQUET}"):
        raise DataError(f"{csv_path} is to hold attribute '{name}': call it {name}.csv, for the name is read from it")
    values = subdataset.attribute.values
    data = (parquet_bytes if csv_path.suffix == PARQUET else csv_bytes)(subdataset, csv_path.parent)
    record = read_import_record(csv_path)
    if record or values != ordered_values(values, name):
        write_json(record_path(csv_path), {**record, "values": list(values)})
    write_bytes(csv_path, data, error=DataError)


def csv_bytes(subdataset: SubDataset, folder: Path) -> bytes:
    """The CSV that describes a sub-dataset when it lies in `folder`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    columns = _cells(subdataset, folder)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    try:
        return text.getvalue().encode("utf-8")
    except UnicodeEncodeError as error:
        name = error.object[max(0, error.start - 40) : error.end + 20]
        raise DataError(f"an image's name near {name!r} is not valid text: rename the file") from error


def parquet_bytes(subdataset: SubDataset, folder: Path) -> bytes:
    """The Parquet file that describes a sub-dataset when it lies in `folder`."""
    import pyarrow
    from pyarrow import parquet

    columns = _cells(subdataset, folder)
    try:
        paths = pyarrow.array(columns.pop("path"), pyarrow.string())
    except UnicodeEncodeError as error:
        raise DataError(f"an image's name near {error.object[-60:]!r} is not valid text: rename the file") from error
    coded = {name: pyarrow.array(cells, pyarrow.string()).dictionary_encode() for name, cells in columns.items()}
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({"path": paths, **coded}), sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _cells(subdataset: SubDataset, folder: Path) -> dict[str, list[str]]:
    """The columns of the table that describes a sub-dataset when it lies in `folder`."""
    locations, columns, values = Locations(folder), subdataset.columns, subdataset.attribute.values
    texts = columns.texts()
    paths = [locations.cell_of(text) for text in texts]
    spaced = next((row for row, cell in enumerate(paths) if cell != cell.strip()), None)
    if spaced is not None:
        raise DataError(f"the image {texts[spaced]} has a name that begins or ends with a space: rename the file")
    cells = {
        "path": paths,
        "label": [values[value] for value in columns.values.tolist()],
        "split": [SPLITS[split] for split in columns.splits.tolist()],
    }
    return cells if columns.groups is None else {**cells, "group": [group or "" for group in columns.groups]}
