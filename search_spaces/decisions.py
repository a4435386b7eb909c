"""A search space is a sequence of categorical decisions; an architecture answers each of them.

The decisions are also published as `nni.mutable` categoricals (`Space.mutable`), so that any NNI strategy can search
the same space. NNI is imported when that is asked for, not before.
"""

import math
import operator
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from search_spaces.architecture import Architecture, Choice, Setting
from search_spaces.errors import SpaceError

if TYPE_CHECKING:
    from nni.mutable import MutableDict

KINDS = ("operation", "activation", "edge", "input", "pooling", "width", "depth", "shortcut", "choice")


@dataclass(frozen=True)
class Decision:
    """One categorical decision.

    `kind` says what is decided (one of `KINDS`). `node` is the number (from 1) of the node it belongs to; an edge runs
    from node `source` to node `node` and its choices are (False, True); an input's choices are numbers of sources.

    Raises: SpaceError when there is no choice, a choice occurs twice, or the kind is unknown.
    """

    name: str
    choices: tuple[Choice, ...]
    kind: str = "choice"
    node: int | None = None
    source: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SpaceError(f"decision {self.name!r}: the kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not self.choices:
            raise SpaceError(f"decision {self.name!r} has no choices; give it at least one")
        if len(set(self.choices)) < len(self.choices):
            raise SpaceError(f"decision {self.name!r}: a choice occurs twice in {self.choices}; list each once")

    def index(self, choice: Choice) -> int:
        """The position of a choice, by value and type (True is not 1). Raises: SpaceError naming the decision."""
        index = self._positions.get((type(choice), choice))
        if index is None:
            raise SpaceError(f"decision {self.name!r} must be one of {list(self.choices)}, got {choice!r}")
        return index

    @cached_property
    def _positions(self) -> dict[tuple[type, Choice], int]:
        return {(type(choice), choice): index for index, choice in enumerate(self.choices)}


@dataclass(frozen=True)
class Space:
    """A named search space: `settings` (plain values, enough to rebuild it) and the decisions in sampling order.

    `canonical`, where a space has one, maps an architecture to a form shared by those that build the same network.
    """

    name: str
    settings: Mapping[str, Setting] = field(hash=False)
    decisions: tuple[Decision, ...]
    canonical: Callable[[Architecture], Hashable] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        names = [decision.name for decision in self.decisions]
        for name in names:
            if names.count(name) > 1:
                raise SpaceError(f"space {self.name!r}: two decisions are named {name!r}; names must differ")

    @cached_property
    def _settings(self) -> tuple[tuple[str, Setting], ...]:
        return tuple(sorted(self.settings.items()))

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(decision.name for decision in self.decisions)

    @property
    def size(self) -> int:
        """How many architectures the decisions allow (equivalent ones counted each)."""
        return math.prod(len(decision.choices) for decision in self.decisions)

    @cached_property
    def mutable(self) -> "MutableDict":
        """The decisions as an `nni.mutable.MutableDict` of `Categorical`, keyed and labelled by decision name."""
        from nni.mutable import Categorical, MutableDict

        return MutableDict({d.name: Categorical(d.choices, label=d.name) for d in self.decisions})

    def architecture(self, indices: Sequence[int]) -> Architecture:
        """The architecture that takes choice `indices[i]` (from 0) at decision i.

        Raises: SpaceError for a wrong number of indices, or one out of range (negative ones too), naming the decision.
        """
        if len(indices) != len(self.decisions):
            raise SpaceError(f"space {self.name!r} has {len(self.decisions)} decisions, got {len(indices)} indices")
        choices = []
        for decision, index in zip(self.decisions, indices, strict=True):
            if not 0 <= index < len(decision.choices):
                last = len(decision.choices) - 1
                raise SpaceError(f"decision {decision.name!r}: the index must lie in 0..{last}, got {index}")
            choices.append((decision.name, decision.choices[operator.index(index)]))
        return Architecture(self.name, self._settings, tuple(choices))

    def indices(self, architecture: Architecture) -> tuple[int, ...]:
        """The inverse of `architecture`. Raises: SpaceError as `validate` does."""
        if architecture.space != self.name:
            raise SpaceError(f"the architecture is of space {architecture.space!r}, not {self.name!r}")
        if architecture.settings != self._settings:
            wrong = sorted({name for name, _ in set(architecture.settings) ^ set(self._settings)})
            raise SpaceError(f"the architecture is of a {self.name!r} space with other settings: {', '.join(wrong)}")
        choices = dict(architecture.choices)
        for name in sorted(choices.keys() - self._names):
            raise SpaceError(f"the architecture answers {name!r}, no decision of this {self.name!r} space")
        for name in sorted(self._names - choices.keys()):
            raise SpaceError(f"the architecture has no choice for decision {name!r}; it must answer all")
        return tuple(decision.index(choices[decision.name]) for decision in self.decisions)

    def validate(self, architecture: Architecture) -> None:
        """Raises: SpaceError naming the first decision that is missing, unknown or answered with no legal choice."""
        self.indices(architecture)

    def random(self, rng: np.random.Generator) -> Architecture:
        """An architecture with every decision drawn uniformly and independently."""
        return self.architecture([int(rng.integers(len(decision.choices))) for decision in self.decisions])

    def key(self, architecture: Architecture) -> Hashable:
        """Equal keys mean the same network. Where `canonical` is None, only equal choices have equal keys."""
        self.validate(architecture)
        return architecture.choices if self.canonical is None else self.canonical(architecture)
