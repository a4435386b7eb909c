"""The search spaces by name, so that a record or an architecture alone rebuilds its space."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from inspect import signature
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.decisions import Space
from search_spaces.errors import SpaceError
from search_spaces.macro import macro_space
from search_spaces.micro import micro_space
from search_spaces.tail import tail_space

SPACES: dict[str, Callable[..., Space]] = {"macro": macro_space, "micro": micro_space, "tail": tail_space}


def space_from_json(name: str, settings: Mapping[str, Any]) -> Space:
    """The space of that name with those settings (lists or tuples; those left out take their defaults).

    Raises: SpaceError for an unknown name or setting, or a value the space refuses.
    """
    if name not in SPACES:
        raise SpaceError(f"there is no search space {name!r}; known: {', '.join(SPACES)}")
    builder = SPACES[name]
    unknown = sorted(set(settings) - set(signature(builder).parameters))
    if unknown:
        known = ", ".join(signature(builder).parameters)
        raise SpaceError(f"search space {name!r} has no setting {unknown[0]!r}; known: {known}")
    return builder(**{key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()})


@lru_cache(maxsize=4096)
def space_of(architecture: Architecture) -> Space:
    """The space an architecture belongs to. Raises: SpaceError when there is none or the architecture is not legal."""
    space = space_from_json(architecture.space, dict(architecture.settings))
    space.validate(architecture)
    return space
