"""Knobs of a study: named values with their ranges, some only where another knob makes them matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nas.errors import SearchError

Value = str | int | float
Setting = dict[str, Value]  # one value for each knob that matters


class Suggests(Protocol):
    """What asks for values: an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Any: ...
    def suggest_int(self, name: str, low: int, high: int) -> int: ...
    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...


@dataclass(frozen=True)
class Knob:
    """One thing to tune: a choice out of `choices`, or a number from `low` to `high` (both whole: a whole number).

    log: the number is drawn evenly in its logarithm. only: (another knob, listed before this one, and its values) where
    this one matters; elsewhere it is not asked for, so that no sampler learns from a setting that did nothing.
    Raises SearchError for a knob with neither choices nor a range.
    """

    name: str
    choices: tuple[Value, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    only: tuple[str, tuple[Value, ...]] | None = None

    def __post_init__(self) -> None:
        if not self.choices and not self.low < self.high:
            raise SearchError(
                f"The knob {self.name} needs choices, or a low end below its high end, is {self.low} to {self.high}."
            )

    @property
    def whole(self) -> bool:
        """Whether it takes whole numbers of a range."""
        return not self.choices and isinstance(self.low, int) and isinstance(self.high, int)

    def matters(self, setting: Mapping[str, Value]) -> bool:
        """Whether it does anything beside these values of the knobs before it."""
        return self.only is None or setting.get(self.only[0]) in self.only[1]

    def asked(self, trial: Suggests) -> Value:
        """The value that a trial suggests."""
        if self.choices:
            value: Value = trial.suggest_categorical(self.name, self.choices)
            return value
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high))
        return rounded(trial.suggest_float(self.name, self.low, self.high, log=self.log))

    def nearest(self, value: Value) -> Value:
        """The value of this knob that is closest to the one given; of choices, that one or the first.

        >>> Knob("width", (8, 16)).nearest(16), Knob("rate", low=0.1, high=1.0).nearest(7.0)
        (16, 1.0)
        """
        if self.choices:
            return value if value in self.choices else self.choices[0]
        return (
            min(max(float(value), self.low), self.high)
            if not self.whole
            else min(max(int(value), int(self.low)), int(self.high))
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for the study's record, which also name the study."""
        span = (
            {"choices": list(self.choices)} if self.choices else {"low": self.low, "high": self.high, "log": self.log}
        )
        only = {"only": [self.only[0], list(self.only[1])]} if self.only else {}
        return {"name": self.name, **span, **only}


def rounded(value: Value) -> Value:
    """A number as a person would write it: three significant digits.

    >>> rounded(0.00031415926), rounded("macro")
    (0.000314, 'macro')
    """
    return float(f"{value:.3g}") if isinstance(value, float) else value


def asked(knobs: Sequence[Knob], trial: Suggests) -> Setting:
    """A value for each knob that matters, in order."""
    setting: Setting = {}
    for knob in knobs:
        if knob.matters(setting):
            setting[knob.name] = knob.asked(trial)
    return setting


def nearest(knobs: Sequence[Knob], wanted: Mapping[str, Value]) -> Setting:
    """The setting of these knobs that is closest to what is wanted; a knob that is not named takes its low end."""
    setting: Setting = {}
    for knob in knobs:
        if knob.matters(setting):
            setting[knob.name] = knob.nearest(wanted.get(knob.name, knob.choices[0] if knob.choices else knob.low))
    return setting
