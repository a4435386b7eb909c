"""Bounds of settings, written once at the field: what a value may be, checked and worded the same in every room.

    learning_rate: Positive = 2e-3
    keep: Annotated[str, OneOf(("best", "last"))] = "best"

A settings class calls `check_fields` when it is made; graftnet.toml's tables inherit the classes, and pydantic reads
the same annotations.
"""

from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True)
class OneOf:
    """One of these names."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """pydantic's own rule for names, so that its sentence is too."""
        return handler.generate_schema(Literal[self.names])


@dataclass(frozen=True)
class Later:
    """A field that came when there were records already; see `recorded`."""


LATER = Later()

Count = Annotated[int, Ge(1)]
Pair = Annotated[int, Ge(2)]  # of a batch: batch norm needs two
Index = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Lt(1)]
Part = Annotated[float, Ge(0), Le(1)]
Threshold = Annotated[float, Gt(0), Le(1)]
Factor = Annotated[float, Ge(1)]


def check_fields(settings: Any, error: type[Exception], table: str = "") -> None:
    """Hold a dataclass's values against the bounds of its fields.

    Args:
        table: stands before the field's name in the sentence, as graftnet.toml calls it, "search.".

    Raises:
        error: the first value that is out of bounds, with its rule.

    >>> @dataclass
    ... class Fit:
    ...     dropout: Share = 1.5
    >>> check_fields(Fit(), ValueError, "retrain.")
    Traceback (most recent call last):
    ValueError: retrain.dropout must lie in [0, 1), is 1.5.
    """
    for field in fields(settings):
        rules = tuple(rule for rule in getattr(field.type, "__metadata__", ()) if rule != LATER)
        value = getattr(settings, field.name)
        if not all(kept(rule, value) for rule in rules):
            raise error(f"{table}{field.name} must {in_words(rules)}, is {value!r}.")


def recorded(settings: Any) -> dict[str, Any]:
    """A dataclass of settings as plain values, for a record whose hash names a folder.

    What a field that is `LATER` has by default is left out: what was made before there was such a field keeps its name,
    and stays current.

    >>> @dataclass
    ... class Fit:
    ...     epochs: Count = 12
    ...     noise: Annotated[NonNegative, LATER] = 0.0
    >>> recorded(Fit()), recorded(Fit(noise=0.5))
    ({'epochs': 12}, {'epochs': 12, 'noise': 0.5})
    """
    return {
        field.name: recorded(value) if is_dataclass(value) else value
        for field in fields(settings)
        for value in [getattr(settings, field.name)]
        if not (LATER in getattr(field.type, "__metadata__", ()) and value == field.default)
    }


def kept(rule: Any, value: Any) -> bool:
    """Whether a value keeps a rule; what is no number keeps none."""
    match rule:
        case OneOf(names):
            return value in names
        case Ge(least):
            return bool(value >= least)
        case Gt(least):
            return bool(value > least)
        case Le(most):
            return bool(value <= most)
        case Lt(most):
            return bool(value < most)
    return True


def in_words(rules: tuple[Any, ...]) -> str:
    """What the rules of a field ask for."""
    match rules:
        case (OneOf(names),):
            return f"be one of {', '.join(names)}"
        case (Ge(least), Lt(most)):
            return f"lie in [{least}, {most})"
        case (Ge(least), Le(most)):
            return f"lie between {least} and {most}"
        case (Gt(least), Le(most)):
            return f"be above {least} and at most {most}"
        case (Gt(least),):
            return f"be above {least}"
        case (Ge(least),):
            return f"be at least {least}"
    raise TypeError(f"no words for {rules}")
