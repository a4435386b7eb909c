"""Checks that all spaces share: a setting is a whole number in a range, or a list of known, different values."""

from collections.abc import Mapping, Sequence
from typing import cast

from search_spaces.architecture import Choice, Setting
from search_spaces.errors import SpaceError

WIDEST = 2**16  # channels; a wider branch is a damaged record, or an attack on whoever builds it


def whole(space: str, setting: str, value: object, most: int, limit: str = "") -> None:
    """Raises: SpaceError unless the value is a whole number from 1 to `most` (the value of the setting `limit`)."""
    if type(value) is not int or not 1 <= value <= most:
        highest = f"{limit} ({most})" if limit else str(most)
        raise SpaceError(f"{space} space: {setting} must be a whole number from 1 to {highest}, got {value!r}")


def listed(
    space: str, setting: str, values: Sequence[Choice], known: Sequence[Choice] | None = None
) -> tuple[Choice, ...]:
    """The values as a tuple. Raises: SpaceError for no list, an empty one, or a value that is unknown or repeated."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise SpaceError(f"{space} space: {setting} must be a list, got {values!r}")
    if not values:
        raise SpaceError(f"{space} space: {setting} is empty; list at least one")
    for value in values:
        if not isinstance(value, str | int | float):
            raise SpaceError(f"{space} space: {setting} must list plain values, got {value!r}")
        if known is not None and not any(value == allowed and type(value) is type(allowed) for allowed in known):
            names = ", ".join(str(allowed) for allowed in known)
            raise SpaceError(f"{space} space: {setting} must be among {names}, got {value!r}")
    if len(set(values)) < len(values):
        raise SpaceError(f"{space} space: {setting} lists a value twice, got {list(values)!r}")
    return tuple(values)


def sources_listed(space: str, sources: Sequence[int]) -> dict[str, Setting]:
    """The setting ``sources``; nothing for none, so that spaces from before there were any stay the same.

    Raises: SpaceError for one that is no number of channels.
    """
    if not isinstance(sources, list | tuple):
        raise SpaceError(f"{space} space: sources must be a list of channels, got {sources!r}")
    for channels in sources:
        whole(space, "every source's channels", channels, WIDEST)
    return {"sources": tuple(sources)} if sources else {}


def context_of(settings: Mapping[str, Setting]) -> int:
    """How many channels the sources of a space have together."""
    return sum(cast(tuple[int, ...], settings.get("sources", ())))


def widths_listed(space: str, widths: Sequence[int]) -> tuple[Choice, ...]:
    """The widths as a tuple. Raises: SpaceError as `listed` does, or for one that is no positive whole number."""
    checked = listed(space, "widths", widths)
    for width in checked:
        if type(width) is not int or width < 1:
            raise SpaceError(f"{space} space: every width must be a positive whole number, got {width!r}")
        if width > WIDEST:
            raise SpaceError(f"{space} space: every width must be {WIDEST} at most, got {width!r}")
    return checked
