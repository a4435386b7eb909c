"""Attributes as labels: one label where there are two values, one for each value where there are more."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from subdatasets.attribute import Attribute
from subdatasets.imports import LabelColumn
from subdatasets.multilabel import ABSENT, PRESENT, UNKNOWN, States
from subdatasets.values import PAIRS, contradiction, ordered_values, spellings


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
    found = {label for label in column.labels if label is not None}
    if not found:
        return "is blank in every row"
    canonical = spellings(found)
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
