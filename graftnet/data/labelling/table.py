"""The table ``data/ATTR.csv`` as it follows from what it held before and from the journal of answers."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from foundation.files import write_bytes
from graftnet.data.labelling.journal import Journal, Said
from graftnet.errors import ConfigError
from subdatasets.attribute import Attribute
from subdatasets.errors import DataError
from subdatasets.image_files import content_hash
from subdatasets.reading.draws import Notebook
from subdatasets.reading.problems import Row, refusal
from subdatasets.reading.rows import read_rows
from subdatasets.reading.tables import Locations
from subdatasets.splits import FRACTIONS
from subdatasets.subdataset import Example, SubDataset, csv_bytes, write_subdataset


class AnswerTable:
    """The table of one attribute. A row that the journal knows nothing of stays as it is, whoever wrote it.

    Args:
        path: of the CSV, which need not be there yet.
        attribute: its name and values.
        journal: what was answered.
        paths: content -> a file that holds it.
        hashes: the content of files, as far as known.
        seed: decides over splits that the table does not say.
        notebook: where they are noted.

    Raises:
        ConfigError: the table holds a value that is none of the attribute's. DataError: it cannot be read.
    """

    def __init__(
        self,
        path: Path,
        attribute: Attribute,
        journal: Journal,
        paths: Mapping[str, Path],
        hashes: Mapping[Path, str],
        *,
        seed: int,
        notebook: Notebook | None = None,
    ) -> None:
        self.path, self.attribute, self.journal, self.paths = path, attribute, journal, paths
        self.seed, self.notebook = seed, notebook
        self.spelled = {value.casefold(): value for value in attribute.values}
        self.hashes = dict(hashes)
        self.locations = Locations(path.parent)
        self._bytes: bytes | None = None
        self.rows: list[Row] = []
        self.reread()

    def reread(self) -> None:
        """Take in the table as it lies on disk, where it is not as this object wrote it."""
        now = self.path.read_bytes() if self.path.exists() else None
        if now == self._bytes:
            return
        read = labelled_rows(self.path, seed=self.seed, notebook=self.notebook) if now is not None else []
        self.rows = [self._spelled(row) for row in read]
        for row in self.rows:
            if row.path not in self.hashes:
                self.hashes[row.path] = content_hash(row.path)
        self._bytes = now

    def _spelled(self, row: Row) -> Row:
        """A row whose label is spelled as the attribute's value: of one value alone, "Yes" is read as "yes"."""
        value = row.label if row.label in self.attribute.values else self.spelled.get(row.label.casefold())
        if value is None:
            known = ", ".join(self.attribute.values)
            raise ConfigError(
                f"{self.path} holds the label {row.label!r}, which is no value of {self.attribute.name} ({known}); "
                f"name it with --values, or correct the table."
            )
        return Row(row.path, value, row.split, row.group, row.line)

    def labels(self, content: str) -> list[Row]:
        """The rows of a picture, under whatever names, as the file has them."""
        return [row for row in self.rows if self.hashes[row.path] == content]

    def merged(self) -> list[Row]:
        """The rows that are to stand in the file."""
        answers = self.journal.current()
        rows: list[Row] = []
        done: set[str] = set()
        for row in self.rows:
            content = self.hashes[row.path]
            if content not in self.journal.before:
                rows.append(row)
            elif content not in done:
                done.add(content)
                rows += self._answered(content, answers.get(content))
        for content in [*answers, *self.journal.before]:
            if content not in done:
                done.add(content)
                rows += self._answered(content, answers.get(content))
        return rows

    def _answered(self, content: str, answer: Said | None) -> Iterator[Row]:
        """The rows of a picture that was asked about: those it had, under its answer; one of its own; or none."""
        earlier = self.journal.before[content]
        if answer is not None and answer.value is not None and not earlier:
            path = self.paths.get(content) or self.locations.path(answer.path)
            yield Row(path, answer.value, answer.split, None, None)
        for cell, (label, split, group) in earlier.items():
            if answer is None or answer.value is not None:
                now = label if answer is None or answer.value is None else answer.value
                yield Row(self.locations.path(cell), now, split, group or None, None)

    def subdataset(self) -> SubDataset:
        """What the file is to hold."""
        index = {value: number for number, value in enumerate(self.attribute.values)}
        examples = [Example(row.path, index[row.label], row.split, row.group) for row in self.merged()]
        return SubDataset(self.attribute, tuple(examples), self.path)

    def write(self, *, finally_: bool = False) -> None:
        """Bring the file up to date, all at once; what lies there is read again first, where somebody changed it.

        finally_: also write down the order of the values, and wait until everything is on the disk.
        """
        self.reread()
        subdataset = self.subdataset()
        if not subdataset.examples and self._bytes is None:
            return
        data = csv_bytes(subdataset, self.path.parent)
        if finally_:
            write_subdataset(subdataset, self.path)
        elif data != self._bytes:
            write_bytes(self.path, data, durable=False, error=DataError)
        self._bytes = data
        self.rows = [Row(e.path, self.attribute.values[e.value], e.split, e.group, None) for e in subdataset.examples]
        for row in self.rows:
            if row.path not in self.hashes:
                self.hashes[row.path] = content_hash(row.path)


def labelled_rows(path: Path, *, seed: int, notebook: Notebook | None = None) -> list[Row]:
    """The rows of a table, each with a split; few of them, or one value alone, are no mistake here.

    Splits that all rows say stay as they are, even where none says val yet.

    Raises:
        DataError: the table cannot be read, or holds what no table of images may.
    """
    reading = read_rows(path, seed=seed, fractions=FRACTIONS, draw=False)
    if any(not row.split for row in reading.rows):
        reading = read_rows(path, seed=seed, fractions=FRACTIONS, notebook=notebook)
    if reading.has_errors:
        raise refusal(path, [problem for problem in reading.problems if problem.severity == "error"])
    return reading.rows
