"""An attribute: the question one branch answers, its name and its values; how values are spelled, which is positive."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from foundation.records import DEVICES, is_plain_name
from subdatasets.errors import DataError
from subdatasets.words import PAIRS, PROGRAMS_PAIRS, SOUND, UNKNOWN, YES_AND_NO, folded, is_pair, means_unknown

_DECIMAL_COMMA = re.compile(r"-?[0-9]+(,00?)?")
_WHOLE_NUMBER = re.compile(r"-?[0-9]+(\.0+)?")
_NEGATION = re.compile(
    r"(?:no|not|non|without|isn't|is not|has no|nicht|kein|keine|keinen|ohne|pas de|pas|sans|sin|sem|não|nao|senza|"
    r"geen|zonder|niet|ingen|ikke|inte|utan|uden|uten|nie|brak|bez|без|не|нет|无|無|没有|不|非|ไม่)[ _-]+(.+)"
)
# Languages that write no spaces deny with one sign in front.
_SIGN = re.compile(r"(?:无|無|没有|没|不|非|未|ไม่)(.+)")
_AFFIRMATION = re.compile(
    r"(?:with|is|has|mit|hat|ist|avec|con|com|met|med|heeft|z|ze|s|с|со|есть|有)[ _-]*(?<=[ _有-])(.+)"
)


def ordered_values(spelled: Iterable[str], name: str = "") -> tuple[str, ...]:
    """The distinct values in their canonical order.

    Two values go negative first, where anything tells which that is (`positive_and_why`). All others are sorted, whole
    numbers by size.
    """
    values = sorted(set(spelled), key=_sort_key)
    if len(values) == 2 and _why_positive(values[0], values[1], name) and not _why_positive(values[1], values[0], name):
        values.reverse()
    return tuple(values)


def positive_and_why(values: Iterable[str], name: str = "") -> tuple[str, str]:
    """Which of two values is the positive one, and what tells.

    Known pairs (no/yes, nein/ja, intact/broken, ...), a negation ("not_bald", "without_hat", "unmasked"), or that one
    is called like the attribute `name`. Where nothing tells, it is the later by size or in the alphabet.

    >>> positive_and_why(["ja", "nein"]), positive_and_why(["dog", "cat"])
    (('ja', "'nein' and 'ja' are a known pair"), ('dog', 'the later in the alphabet, for nothing tells'))
    """
    low, high = ordered_values(values, name)
    numbers = all(_WHOLE_NUMBER.fullmatch(value) for value in (low, high))
    later = "the larger number, for nothing else tells" if numbers else "the later in the alphabet, for nothing tells"
    return high, _why_positive(high, low, name) or later


def spellings(spelled: Iterable[str]) -> dict[str, str]:
    """Each found spelling mapped to the canonical one.

    Surrounding spaces go; where all are whole numbers, "1.0" (pandas' way to write a 1 in a column with gaps) becomes
    "1"; where all are words of one known pair, case goes ("TRUE" and "true" are one value).
    """
    mapping = {raw: raw.strip() for raw in spelled}
    composed = {value: unicodedata.normalize("NFC", value) for value in mapping.values()}
    if len(set(composed.values())) < len(composed):  # one word in two Unicode forms, as macOS and others write it
        mapping = {raw: composed[value] for raw, value in mapping.items()}
    if all(_DECIMAL_COMMA.fullmatch(value) for value in mapping.values()):  # "1,0", as half of Europe writes 1
        mapping = {raw: value.partition(",")[0] for raw, value in mapping.items()}
    if all(_WHOLE_NUMBER.fullmatch(value) for value in mapping.values()):
        mapping = {raw: re.sub(r"\.0+$", "", value) for raw, value in mapping.items()}
        mapping = {raw: "0" if value == "-0" else value for raw, value in mapping.items()}
    folds = {value.casefold() for value in mapping.values()}
    if any(folds <= set(pair) for pair in PAIRS) or (len(folds) == 2 < len(set(mapping.values())) and _paired(folds)):
        mapping = {raw: value.casefold() for raw, value in mapping.items()}
    return mapping


def named_values(values: Iterable[str]) -> dict[str, str]:
    """What an import calls values: those that programs write for no and yes (0/1, -1/1, false/true) get these names.

    >>> named_values(["0", "1"]), named_values(["off", "on"])
    ({'0': 'no', '1': 'yes'}, {'off': 'off', 'on': 'on'})
    """
    found = sorted(set(values), key=_sort_key)
    pair = next((pair for pair in PROGRAMS_PAIRS if {value.casefold() for value in found} == set(pair)), None)
    if pair is None:
        return {value: value for value in found}
    return {value: ("no", "yes")[pair.index(value.casefold())] for value in found}


# Words beside a pair of no and yes that name no third value, as a share of the labelled images.
_FEW = 0.05


def stray_words(counts: Mapping[str, int]) -> set[str]:
    """The labels that stand for "not known" in a column of these labels and their numbers of images.

    Beside a known pair of no and yes: what people write for unknown, however often; and, where they are few, words that
    are neither (slips of the pen). Empty where there is no such pair, or more than one.

    >>> sorted(stray_words({"yes": 50, "no": 50, "Not sure": 30, "yse": 1}))
    ['Not sure', 'yse']
    >>> stray_words({"yes": 50, "no": 50, "partly": 30}), stray_words({"none": 10, "sun": 10, "unknown": 10})
    (set(), set())
    """
    by_fold: dict[str, set[str]] = {}
    for word in counts:
        by_fold.setdefault(folded(word), set()).add(word)
    unknown = {word for word in by_fold if means_unknown(word)}
    words = set(by_fold) - unknown
    pairs = [(low, high) for low in words for high in words if is_pair(low, high)]
    if len(pairs) != 1:
        return set()
    others = words - set(pairs[0])
    strange = sum(counts[word] for fold in others for word in by_fold[fold])
    # A number or another no or yes is no slip; "low, high" and "closed, open" may well have something between them.
    numbers = any(_WHOLE_NUMBER.fullmatch(word) for word in others)
    if numbers or others & YES_AND_NO or not set(pairs[0]) <= YES_AND_NO or strange > _FEW * sum(counts.values()):
        others = set()
    return {word for fold in others | unknown for word in by_fold[fold]}


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


def _why_positive(high: str, low: str, name: str) -> str:
    """What tells that of two values `high` is the positive one; empty where nothing does."""
    pair = f"'{low}' and '{high}' are a known pair"
    lower, higher = low.casefold(), high.casefold()
    if (lower, higher) in PAIRS or (higher, lower) in PAIRS:
        return pair if (lower, higher) in PAIRS else ""
    if _denies(lower, higher) and not is_pair(high, low) and folded(high) not in SOUND:
        return f"'{low}' denies '{high}'"
    if _denies(higher, lower) and folded(low) in SOUND:  # "ok, not ok": what is looked for is what is not
        return f"'{high}' denies '{low}'"
    plain = _plain(name)
    if plain and _plain(higher) == plain and _plain(lower) != plain and _NEGATION.fullmatch(higher) is None:
        return f"'{high}' is called like the attribute"
    if plain and _plain(lower) == plain:
        return ""
    if is_pair(low, high):
        return pair
    prefixed = (f"un{higher}", f"in{higher}", f"im{higher}", f"non{higher}", f"ir{higher}", f"il{higher}")
    return f"'{low}' denies '{high}'" if lower in prefixed and not is_pair(high, low) else ""


def _denies(denial: str, affirmation: str) -> bool:
    """Whether the first says no to the second, both without case: "no hat" to "hat", "ohne Hut" to "mit Hut"."""
    negated = _NEGATION.fullmatch(denial) or _SIGN.fullmatch(denial)
    if negated is None:
        return False
    affirmed = _AFFIRMATION.fullmatch(affirmation)
    return _plain(negated[1]) in (_plain(affirmation), _plain(affirmed[1]) if affirmed else None)


def _paired(folds: Iterable[str]) -> bool:
    low, high = folds
    return is_pair(low, high) or is_pair(high, low)


def _plain(text: str) -> str:
    return re.sub(r"[ _-]+", " ", text.casefold()).strip()


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Attribute:
    """A name and its values, two or more; of two, `values[1]` is the positive one.

    The name serves as file name and as name of an output, so it holds only ASCII letters, digits, `_`, `.` and `-`,
    begins with a letter or digit, has at most 100 characters and is no device's of Windows ("con"). Values keep
    the order they are given in; `attribute_of` puts found values in canonical order.

    Raises:
        DataError: for an unusable name, fewer than two values, or an empty, repeated or multi-line value.
    """

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not is_attribute_name(self.name):
            raise DataError(f"attribute name '{self.name}' is not usable as a file name: {name_rule(self.name)}")
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
    """Whether `name` may name an attribute.

    >>> [is_attribute_name(name) for name in ("bald", "Con", "lpt1.left", "console", "bald.")]
    [True, False, False, True, False]
    """
    return len(name) <= NAME_LENGTH and _NAME.fullmatch(name) is not None and is_plain_name(name)


def name_rule(name: str) -> str:
    """What is wrong with a name that may not name an attribute, and a usable one like it where there is one."""
    proposal = attribute_name(name)
    hint = f", for example '{proposal}'" if proposal else ""
    if len(name) <= NAME_LENGTH and _NAME.fullmatch(name) and name.split(".")[0].casefold() in DEVICES:
        return f"Windows keeps '{name.split('.')[0]}' for a device, whatever follows it: write another{hint}"
    return (
        f"write at most {NAME_LENGTH} letters, digits, '_', '.' or '-', beginning with a letter or digit and not "
        f"ending with '.'{hint}"
    )


def attribute_name(title: str) -> str:
    """A usable attribute name made from free text, "Light bag" -> "Light_bag".

    Accents are dropped, every run of other characters becomes one `_`; a device's name of Windows gets "is_"
    before it. Returns "" where nothing usable is left.

    >>> attribute_name("  Light bag (left)")
    'Light_bag_left'
    """
    name = latin_name(title)
    return name if not name or is_attribute_name(name) else f"is_{name}"[:NAME_LENGTH].rstrip(".")


def latin_name(title: str) -> str:
    """As `attribute_name`, but a device's name of Windows stays one."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", plain).strip("_.-")[:NAME_LENGTH].rstrip(".")
