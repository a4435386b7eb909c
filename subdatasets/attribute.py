"""An attribute: the question one branch answers, its name and its values; how values are spelled, which is positive."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from subdatasets.errors import DataError

# Pairs with a fixed meaning, negative first. Compared without regard to case.
PAIRS = (
    ("no", "yes"),
    ("0", "1"),
    ("false", "true"),
    ("absent", "present"),
    ("negative", "positive"),
    ("off", "on"),
    ("n", "y"),
    ("f", "t"),
    ("-1", "1"),
)

# What spreadsheets and pandas write where nothing is known. Compared without regard to case.
UNKNOWN = ("", "?", "nan", "na", "n/a", "<na>", "null")

_WHOLE_NUMBER = re.compile(r"-?[0-9]+(\.0+)?")
_NEGATION = re.compile(r"(?:no|not|non|without)[ _-]+(.+)")
_AFFIRMATION = re.compile(r"(?:with|is|has)[ _-]+(.+)")


def ordered_values(spelled: Iterable[str], name: str = "") -> tuple[str, ...]:
    """The distinct values in their canonical order.

    Two values go negative first: by the known pairs (no/yes, 0/1, ...), by a negation ("not_bald" before "bald",
    "without_hat" before "with_hat"), or because one of them is called like the attribute `name`. All others are
    sorted, whole numbers by size.
    """
    values = sorted(set(spelled), key=_sort_key)
    if len(values) == 2 and _is_negative(values[1], values[0], name) and not _is_negative(values[0], values[1], name):
        values.reverse()
    return tuple(values)


def spellings(spelled: Iterable[str]) -> dict[str, str]:
    """Each found spelling mapped to the canonical one.

    Surrounding spaces go; where all are whole numbers, "1.0" (pandas' way to write a 1 in a column with gaps) becomes
    "1"; where all are words of one known pair, case goes ("TRUE" and "true" are one value).
    """
    mapping = {raw: raw.strip() for raw in spelled}
    if all(_WHOLE_NUMBER.fullmatch(value) for value in mapping.values()):
        mapping = {raw: re.sub(r"\.0+$", "", value) for raw, value in mapping.items()}
        mapping = {raw: "0" if value == "-0" else value for raw, value in mapping.items()}
    folded = {value.casefold() for value in mapping.values()}
    if any(folded <= set(pair) for pair in PAIRS):
        mapping = {raw: value.casefold() for raw, value in mapping.items()}
    return mapping


def contradiction(values: Iterable[str]) -> str | None:
    """Why these canonical values cannot be the values of one attribute, or None if they can."""
    by_fold: dict[str, str] = {}
    for value in sorted(values):
        other = by_fold.setdefault(value.casefold(), value)
        if other != value:
            return f"the values '{other}' and '{value}' differ only in case (spell them alike)"
    words = {word for pair in PAIRS for word in pair}
    if len(by_fold) > 2 and by_fold.keys() <= words:
        listed = ", ".join(f"'{value}'" for value in by_fold.values())
        return f"the values {listed} mix several ways to say no and yes (use one pair, and leave unknown cells blank)"
    return None


def is_unknown(cell: str, unknown: Iterable[str] = UNKNOWN) -> bool:
    """Whether a table cell stands for "not known"."""
    return cell.strip().casefold() in {marker.casefold() for marker in unknown}


def _sort_key(value: str) -> tuple[int, int, str]:
    if re.fullmatch(r"-?[0-9]{1,18}", value):
        return (0, int(value), value)
    return (1, 0, value)


def _is_negative(low: str, high: str, name: str) -> bool:
    low, high = low.casefold(), high.casefold()
    if (low, high) in PAIRS:
        return True
    negated = _NEGATION.fullmatch(low)
    if negated is not None:
        affirmed = _AFFIRMATION.fullmatch(high)
        return _plain(negated[1]) == _plain(affirmed[1] if affirmed else high)
    return _NEGATION.fullmatch(high) is None and (low, high) not in _REVERSED and _plain(high) == _plain(name)


def _plain(text: str) -> str:
    return re.sub(r"[ _-]+", " ", text.casefold()).strip()


_REVERSED = {(high, low) for low, high in PAIRS}


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


def attribute_of(name: str, values: Iterable[str]) -> Attribute:
    """The attribute with the values found in the data, in canonical order whatever order they came in."""
    return Attribute(name, ordered_values(values, name))


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
