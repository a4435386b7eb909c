"""Read values out of a record that may be missing or of the wrong type: a clean value or none."""

import math
from collections.abc import Mapping

LARGEST = 2**53  # up to here a float holds every whole number


def number(value: object) -> float | None:
    """A finite real number, or None. Truth values are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        converted = float(value)
    except OverflowError:
        return None
    return converted if math.isfinite(converted) else None


def whole(value: object) -> int | None:
    """A whole number from 0 to :data:`LARGEST`, or None: what is drawn has to fit into a machine's integers."""
    converted = number(value)
    if converted is None or not 0 <= converted <= LARGEST or converted != int(converted):
        return None
    return int(converted)


def text(value: object) -> str | None:
    """A string with something in it, or None."""
    return value.strip() or None if isinstance(value, str) else None


def table(value: object) -> dict[str, object]:
    """A JSON object, or an empty one."""
    return {str(key): entry for key, entry in value.items()} if isinstance(value, Mapping) else {}


def items(value: object) -> tuple[object, ...]:
    """The entries of a JSON list, or none."""
    return tuple(value) if isinstance(value, list | tuple) else ()


def numbers(value: object) -> tuple[float, ...]:
    """The finite numbers of a JSON list."""
    return tuple(entry for entry in map(number, items(value)) if entry is not None)


def numbers_of(value: object) -> dict[str, float]:
    """The entries of a JSON object that are finite numbers."""
    entries = {key: number(entry) for key, entry in table(value).items()}
    return {key: entry for key, entry in entries.items() if entry is not None}
