"""An attribute: the question one branch answers."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from subdatasets.errors import DataError
from subdatasets.values import ordered_values

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Attribute:
    """A name and its values, two or more; of two, `values[1]` is the positive one.

    The name serves as file name and as name of an output, so it holds only ASCII letters, digits, `_`, `.` and `-`,
    begins with a letter or digit and has at most 100 characters. Values keep the order they are given in;
    `attribute_of` puts found values in canonical order.

    Raises:
        DataError: for an unusable name, fewer than two values, or an empty, repeated or multi-line value.
    """

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not is_attribute_name(self.name):
            raise DataError(
                f"attribute name '{self.name}' is not usable as a file name: write at most {NAME_LENGTH} letters, "
                f"digits, '_', '.' or '-', beginning with a letter or digit{_proposal(self.name)}"
            )
        if len(self.values) < 2:
            raise DataError(f"attribute '{self.name}' has values {self.values}: it needs two or more")
        for value in self.values:
            if value != value.strip() or not value or not value.isprintable():
                raise DataError(f"attribute '{self.name}' has the value {value!r}: write plain, non-empty text")
        if len(set(self.values)) < len(self.values):
            raise DataError(f"attribute '{self.name}' has values {self.values}: name each value once")

    @property
    def is_binary(self) -> bool:
        """Whether there are exactly two values, so that one score and one threshold decide."""
        return len(self.values) == 2


def attribute_of(name: str, found: Iterable[str]) -> Attribute:
    """The attribute with the values found in the data, in canonical order whatever order they came in."""
    return Attribute(name, ordered_values(found, name))


def is_attribute_name(name: str) -> bool:
    """Whether `name` may name an attribute."""
    return len(name) <= NAME_LENGTH and _NAME.fullmatch(name) is not None


def attribute_name(title: str) -> str:
    """A usable attribute name made from free text, "Light bag" -> "Light_bag".

    Accents are dropped, every run of other characters becomes one `_`. Returns "" where nothing usable is left.

    >>> attribute_name("  Light bag (left)")
    'Light_bag_left'
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", plain).strip("_.-")[:NAME_LENGTH]


def _proposal(name: str) -> str:
    proposal = attribute_name(name)
    return f", for example '{proposal}'" if proposal else ""
