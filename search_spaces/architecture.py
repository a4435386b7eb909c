"""An architecture: one answer to all decisions of a space, a frozen, hashable JSON value that knows no torch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from search_spaces.errors import SpaceError

Choice = str | int | float | bool
Setting = Choice | tuple[Choice, ...]


@dataclass(frozen=True)
class Architecture:
    """A point of a search space, with the settings that rebuild the space.

    `settings` and `choices` are (name, value) pairs; they are kept sorted by name, so that two architectures are equal
    whatever order their parts came in.

    Raises: SpaceError when a name occurs twice.

    >>> small = Architecture("toy", (("nodes", 1),), (("width", 16), ("head.shortcut", True)))
    >>> small["width"], Architecture.from_json(small.to_json()) == small
    (16, True)
    """

    space: str
    settings: tuple[tuple[str, Setting], ...]
    choices: tuple[tuple[str, Choice], ...]

    def __post_init__(self) -> None:
        for part in ("settings", "choices"):
            pairs = tuple(sorted(getattr(self, part), key=lambda pair: pair[0]))
            for (name, _), (following, _) in pairwise(pairs):
                if name == following:
                    raise SpaceError(f"the {part} of an architecture name {name!r} twice; give each name one value")
            object.__setattr__(self, part, pairs)

    def __getitem__(self, decision: str) -> Choice:
        """The choice made for a decision. Raises: KeyError for an unknown name, as a mapping does."""
        return self._by_name[decision]

    @cached_property
    def _by_name(self) -> dict[str, Choice]:
        return dict(self.choices)

    def to_json(self) -> dict[str, Any]:
        """`{"space": name, "settings": {name: value}, "choices": {decision: choice}}`; tuples become lists."""
        settings = {name: list(value) if isinstance(value, tuple) else value for name, value in self.settings}
        return {"space": self.space, "settings": settings, "choices": dict(self.choices)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Architecture":
        """The inverse of `to_json`. Raises: SpaceError naming the part that is missing or of the wrong kind.

        Whether the choices are legal is for the space to say: `space_of(architecture).validate(architecture)`.
        """
        if not isinstance(record, Mapping):
            raise SpaceError(f"an architecture is a JSON object, got {type(record).__name__}")
        for key, kind in (("space", str), ("settings", Mapping), ("choices", Mapping)):
            if not isinstance(record.get(key), kind):
                expected = "a string" if kind is str else "an object"
                raise SpaceError(f"the architecture's {key!r} must be {expected}, got {record.get(key)!r}")
        settings = tuple((str(name), _setting(name, value)) for name, value in record["settings"].items())
        choices = tuple((str(name), _scalar(name, value)) for name, value in record["choices"].items())
        return cls(record["space"], settings, choices)

    @cached_property
    def identity(self) -> str:
        """The first 12 hex digits of the SHA-256 of the canonical JSON: a name for files and records."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _scalar(name: str, value: object) -> Choice:
    if isinstance(value, str | int | float):  # bool is an int
        return value
    raise SpaceError(f"the architecture's {name!r} must be a string, a number or true/false, got {value!r}")


def _setting(name: str, value: object) -> Setting:
    if isinstance(value, list | tuple):
        return tuple(_scalar(name, item) for item in value)
    return _scalar(name, value)
