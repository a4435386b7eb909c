"""Limits of a branch's costs: parameters, multiply-accumulates, measured latency."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from nas.errors import SearchError

# What each limit counts: its setting in [search], its option, and how an amount of it is written.
SETTINGS = {"parameters": "max_parameters", "macs": "max_macs", "latency_ms": "max_latency"}


class Cost(NamedTuple):
    """What one architecture costs; latency_ms is None where nothing asks for it."""

    parameters: int
    macs: int
    latency_ms: float | None = None


@dataclass(frozen=True)
class Limits:
    """The most parameters, multiply-accumulates per image and milliseconds per batch; 0 stands for no limit.

    Raises SearchError for a limit that is negative or not finite.

    >>> Limits(parameters=50_000, latency_ms=2.0).text
    'at most 50,000 parameters and at most 2 ms'
    >>> bool(Limits())
    False
    """

    parameters: int = 0
    macs: float = 0
    latency_ms: float = 0

    def __post_init__(self) -> None:
        for name, setting in SETTINGS.items():
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise SearchError(f"search.{setting} must be above 0, or 0 for no limit, is {value}.")

    def __bool__(self) -> bool:
        return bool(self.set)

    @property
    def set(self) -> Mapping[str, float]:
        """The limits that there are, by name."""
        return {name: getattr(self, name) for name in SETTINGS if getattr(self, name)}

    def ratios(self, cost: Cost) -> dict[str, float]:
        """Cost as a share of each limit that there is: none above 1 means that the architecture is allowed."""
        return {name: getattr(cost, name) / limit for name, limit in self.set.items()}

    def broken(self, cost: Cost) -> list[str]:
        """The names of the limits that the cost is above."""
        return [name for name, ratio in self.ratios(cost).items() if ratio > 1]

    @property
    def text(self) -> str:
        """The limits in words."""
        return " and ".join(f"at most {written(name, limit)}" for name, limit in self.set.items())


def written(name: str, amount: float) -> str:
    """An amount of one cost in words, rounded so that it never looks smaller than it is.

    >>> written("parameters", 1234), written("latency_ms", 2.00001), written("macs", 5e6)
    ('1,234 parameters', '2.001 ms', '5,000,000 MACs')
    """
    if name == "latency_ms":
        return f"{math.ceil(round(amount * 1000, 6)) / 1000:g} ms"
    return f"{math.ceil(amount):,} {'MACs' if name == 'macs' else name}"
