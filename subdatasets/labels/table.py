"""A label table: many labels over one list of images, each present, absent or unknown in each image.

Readers: :mod:`subdatasets.labels.read`, :mod:`~subdatasets.labels.voc`, :mod:`~subdatasets.labels.coco` (and
VG-500's lists), and :mod:`~subdatasets.labels.join` (a project's sub-datasets). Attributes are labels too: one
where there are two values, one for each value where there are more.

The label graph is made from it (IML-GCN, Singh et al. 2022; ML-GCN, Chen et al. 2019, arXiv:1904.03582). Where those
papers know 0 and 1 alone, an image here may say nothing of a label: sub-datasets label one attribute each.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from subdatasets.attribute import Attribute, contradiction, ordered_values, spellings
from subdatasets.errors import DataError
from subdatasets.importing.write import LabelColumn
from subdatasets.splits import SPLITS
from subdatasets.words import PAIRS

PRESENT, ABSENT, UNKNOWN = 1, 0, -1

States = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Images x labels.

    images: N files; readers of annotations alone do not ask whether they exist.
    labels: L different names.
    states: int8 (N, L), PRESENT, ABSENT or UNKNOWN; a copy of what is given.
    splits: N of "train", "val", "test", or "" where none is given.
    notes: what the reader set aside, a sentence each (conflicting labels, images in two splits).

    Raises:
        DataError: sizes that do not fit, another state or split, a label or an image that occurs twice.
    """

    images: tuple[Path, ...]
    labels: tuple[str, ...]
    states: States
    splits: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        states = np.array(self.states)
        if states.shape != (len(self.images), len(self.labels)):
            raise DataError(
                f"a label table of {len(self.images)} images and {len(self.labels)} labels has states of shape "
                f"{states.shape}: give one row per image and one column per label"
            )
        strange = states[~np.isin(states, (PRESENT, ABSENT, UNKNOWN))]
        if strange.size:
            raise DataError(f"a label table holds the state {strange[0]}: use 1 present, 0 absent, -1 unknown")
        if len(self.splits) != len(self.images):
            raise DataError(
                f"a label table of {len(self.images)} images has {len(self.splits)} splits: give one for each"
            )
        wrong = next((split for split in self.splits if split not in ("", *SPLITS)), None)
        if wrong is not None:
            raise DataError(f"a label table names the split '{wrong}': use one of {', '.join(SPLITS)}, or none")
        for what, counted in (("label", Counter(self.labels)), ("image", Counter(map(str, self.images)))):
            twice = next((name for name, count in counted.items() if count > 1), None)
            if twice is not None:
                raise DataError(f"a label table names the {what} '{twice}' twice: name each {what} once")
        object.__setattr__(self, "states", states.astype(np.int8))

    def __len__(self) -> int:
        return len(self.images)

    def of_split(self, name: str) -> "LabelTable":
        """The rows of one split, in order.

        Raises:
            DataError: `name` is none of train, val, test.
        """
        if name not in SPLITS:
            raise DataError(f"there is no split '{name}': use one of {', '.join(SPLITS)}")
        return self.rows([row for row, split in enumerate(self.splits) if split == name])

    def rows(self, chosen: Sequence[int] | NDArray[np.integer]) -> "LabelTable":
        """The table of these rows, in the order given."""
        positions = [int(row) for row in chosen]
        return LabelTable(
            tuple(self.images[row] for row in positions),
            self.labels,
            self.states[positions],
            tuple(self.splits[row] for row in positions),
            self.notes,
        )

    def select(self, labels: Sequence[str]) -> "LabelTable":
        """The table of these labels, in the order given.

        Raises:
            DataError: a label that the table lacks.
        """
        missing = next((label for label in labels if label not in self.labels), None)
        if missing is not None:
            raise DataError(f"the label table has no label '{missing}': use some of {', '.join(self.labels)}")
        columns = [self.labels.index(label) for label in labels]
        return LabelTable(self.images, tuple(labels), self.states[:, columns], self.splits, self.notes)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many images show each label, lack it, and say nothing of it."""
        return {
            label: {
                "present": int((column == PRESENT).sum()),
                "absent": int((column == ABSENT).sum()),
                "unknown": int((column == UNKNOWN).sum()),
            }
            for label, column in zip(self.labels, self.states.T, strict=True)
        }


def stacked(tables: Sequence[LabelTable]) -> LabelTable:
    """Tables of the same labels one below the other, in the first one's order of labels (COCO's train and val, say).

    Raises:
        DataError: no table, tables of different labels, or an image that is in two of them.
    """
    if not tables:
        raise DataError("there is no label table to put together: give at least one")
    first = tables[0]
    for table in tables[1:]:
        strange = sorted(set(table.labels) ^ set(first.labels))
        if strange:
            raise DataError(
                f"label tables to put together differ in the label '{strange[0]}': give all the same labels"
            )
    same = [table.select(first.labels) for table in tables]
    return LabelTable(
        tuple(image for table in same for image in table.images),
        first.labels,
        np.concatenate([table.states for table in same]),
        tuple(split for table in same for split in table.splits),
        tuple(note for table in same for note in table.notes),
    )


def labels_of(attribute: Attribute) -> tuple[str, ...]:
    """The labels that stand for an attribute: its name, present where the second of two values is; or "name=value"s."""
    return label_names(attribute.name, attribute.values)


def label_names(name: str, values: Sequence[str]) -> tuple[str, ...]:
    """`labels_of` for a name that may hold any character.

    >>> label_names("bald", ("no", "yes")), label_names("hair", ("long", "none", "short"))
    (('bald',), ('hair=long', 'hair=none', 'hair=short'))
    """
    return (name,) if len(values) == 2 else tuple(f"{name}={value}" for value in values)


def label_states(values: NDArray[np.integer], count: int) -> States:
    """Which labels are present: int8 (N, 1) for two values, (N, count) for more.

    Args:
        values: (N,) index of each image's value, negative where unknown.
        count: how many values there are.
    """
    known = values >= 0
    columns = [1] if count == 2 else list(range(count))
    states = [np.where(known, np.where(values == column, PRESENT, ABSENT), UNKNOWN) for column in columns]
    return np.stack(states, axis=1).astype(np.int8)


def column_states(column: LabelColumn) -> tuple[tuple[str, ...], States] | str:
    """The labels of a table's column and their states (N, k), or why there are none.

    A column that says only no, or only yes, is a label that no image shows, or that all show.
    """
    known = {label for label in column.labels if label is not None}
    if not known:
        return "is blank in every row"
    canonical = spellings(known)
    values = ordered_values(canonical.values(), column.title)
    wrong = contradiction(values)
    if wrong is not None:
        return f"cannot be used: {wrong}"
    if len(values) == 1:
        pair = next((pair for pair in PAIRS if values[0] in pair), None)
        if pair is None:
            return f"holds only '{values[0]}'"
        values = pair
    index: dict[str | None, int] = {raw: values.index(value) for raw, value in canonical.items()}
    index[None] = -1
    numbers = np.fromiter((index[label] for label in column.labels), np.int64, len(column.labels))
    return label_names(column.title, values), label_states(numbers, len(values))
