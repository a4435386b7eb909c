"""Labels of many attributes over one list of images, written as one CSV per attribute: what all importers end in."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.history import Progress
from subdatasets.attribute import (
    Attribute,
    attribute_of,
    contradiction,
    is_attribute_name,
    latin_name,
    name_rule,
    named_values,
    positive_and_why,
    spellings,
    stray_words,
)
from subdatasets.errors import DataError
from subdatasets.files.memory import FileMemory
from subdatasets.importing.depth import depth_note
from subdatasets.importing.place import Draw, Drawn, ImageList, drawn_splits, put_in_place
from subdatasets.reading.problems import SPLIT_NAMES
from subdatasets.reading.record import read_import_record
from subdatasets.splits import SPLITS
from subdatasets.subdataset import Example, SubDataset
from subdatasets.words import PROGRAMS_PAIRS, YES_AND_NO, folded, means_unknown

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SkippedColumn:
    """A column (or class) that became no attribute, and why."""

    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Positive:
    """The positive one of an attribute's two values, and what tells; `chosen`: the user named it."""

    value: str
    why: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import made.

    subdatasets: those written. skipped: columns that became none. notes: on what was joined, drawn or set aside.
    passed_over: files and rows left out, by reason. positive: attribute -> its positive value, of those with two.
    kept: where files that were replaced are. drawn: images that kept the split they had, and new ones; None where the
    splits were given.
    """

    subdatasets: tuple[SubDataset, ...]
    skipped: tuple[SkippedColumn, ...] = ()
    notes: tuple[str, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    positive: Mapping[str, Positive] = field(default_factory=dict)
    kept: tuple[Path, ...] = ()
    drawn: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """The labels of one attribute: a value's name per image, None where unknown.

    `required`: the user named the column, so a reason to skip it is an error.
    """

    title: str
    labels: Sequence[str | None]
    required: bool = False


def without_strays(column: LabelColumn) -> tuple[LabelColumn, list[str]]:
    """A column without the words beside its no and yes that stand for "not known", and a sentence about them."""
    counts = Counter(label for label in column.labels if label is not None)
    strays = stray_words(counts)
    if not strays:
        return column, _unknown_value(column.title, counts)
    listed = ", ".join(f"'{word}' ({counts[word]})" for word in sorted(strays))
    labels = [None if label in strays else label for label in column.labels]
    note = f"'{column.title}' counts as unknown where it says {listed}, beside its no and yes"
    return LabelColumn(column.title, labels, column.required), [note]


# Of the words for "not known" those that are as often a true value: "glasses: none, sun, reading".
_OFTEN_VALUES = ("none", "nil", "-", "x", ".", "missing", "difficult", "ignore", "skip", "maybe", "possibly", "perhaps")


def _unknown_value(title: str, counts: Mapping[str, int]) -> list[str]:
    """A sentence where a value of several may well mean that nothing is known; nobody but the user can tell."""
    doubtful = [word for word in counts if means_unknown(word) and folded(word) not in _OFTEN_VALUES]
    if {folded(word) for word in counts} & YES_AND_NO - set("0123456789"):  # beside yes and no a number is a code
        doubtful += [word for word in counts if word.lstrip("-").isdigit()]
    if not doubtful or len(counts) < 3:
        return []
    word = doubtful[0]
    return [f"'{word}' is a value of '{title}' ({counts[word]} images); if it means not known, add --unknown '{word}'"]


def chosen_values(positive: Iterable[str]) -> dict[str, str]:
    """`ATTRIBUTE=VALUE` as attribute -> value, `VALUE` under a key that no attribute has."""
    result = {}
    for number, text in enumerate(positive):
        name, equals, value = text.partition("=")
        result.update({name.strip().casefold(): value.strip()} if equals else {f":{number}": text.strip()})
    return result


def require_met(chosen: Mapping[str, str], attributes: Sequence[Attribute], where: str) -> None:
    """Refuse a positive value that no attribute of two values took."""
    two = {each.name.casefold(): each for each in attributes if len(each.values) == 2}
    positives = {each.values[1] for each in two.values()}
    written = {word: name for pair in PROGRAMS_PAIRS for word, name in zip(pair, ("no", "yes"), strict=True)}
    for title, value in chosen.items():
        anywhere = title.startswith(":") and {value, written.get(value.casefold(), value)} & positives
        met = title in two or anywhere
        if not met:
            what = value if title.startswith(":") else f"{title}={value}"
            raise DataError(
                f"{where}: no attribute of two values has '{what}' as --positive names it: check its spelling"
            )


def attribute_names(titles: Sequence[str], where: str) -> dict[str, str]:
    """Title -> attribute name.

    Raises:
        DataError: a title without a letter or digit, or two that become one name (also if only case tells them apart).
    """
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for title in titles:
        name = latin_name(title)
        if not name:
            raise DataError(f"{where}: '{title}' holds no Latin letter or digit to name an attribute by: rename it")
        if not is_attribute_name(name):
            raise DataError(f"{where}: '{title}' cannot name an attribute: {name_rule(name)}, or leave it out")
        other = taken.setdefault(name.casefold(), title)
        if other != title or title in names:
            raise DataError(f"{where}: '{other}' and '{title}' would both be attribute '{name}': rename one of them")
        names[title] = name
    return names


def split_names(splits: Sequence[str | None], where: Callable[[int], str]) -> list[str]:
    """The canonical split of each image; a DataError tells the first that names none."""
    known: dict[str | None, str] = {}
    for position, split in enumerate(splits):
        if split not in known:
            canonical = SPLIT_NAMES.get((split or "").strip().casefold())
            if canonical is None:
                shown = f"there is no split '{split}'" if split else "the split is empty"
                raise DataError(f"{where(position)}: {shown}: write train, val or test for every image, or for none")
            known[split] = canonical
    return [known[split] for split in splits]


def write_attributes(
    columns: Sequence[LabelColumn],
    images: ImageList,
    destination: Path,
    *,
    where: str,
    fractions: Sequence[float],
    seed: int,
    replace: bool,
    skipped: Sequence[SkippedColumn] = (),
    notes: Sequence[str] = (),
    passed_over: Mapping[str, int] | None = None,
    positive: Sequence[str] = (),
    near_copies: bool = False,
    white: int = 0,
    progress: Progress | None = None,
    memory: FileMemory | None = None,
) -> ImportSummary:
    """Write `destination/<attribute>.csv` for every usable column; nothing is written before all are known to be right.

    All attributes share one split per image, so that what tests one never trains another (nor the trunk). A split that
    is made depends on each image's content (or group); an image that had one in the files there keeps it.

    Raises:
        DataError: a required column is unusable, none is usable, or a file with other content is there already.
    """
    names = attribute_names([column.title for column in columns], where)
    targets = {title: destination.absolute() / f"{name}.csv" for title, name in names.items()}
    records = {title: read_import_record(target) for title, target in targets.items()}
    left_out, told = list(skipped), list(notes)
    coded: list[tuple[LabelColumn, Attribute, Labels, Positive | None]] = []
    chosen = chosen_values(positive)
    for column in columns:
        cleaned, note = without_strays(column)
        result = _coded(names[column.title], cleaned, chosen, records[column.title])
        if isinstance(result, str):
            _leave_out(column, result, where, left_out)
        else:
            coded.append((column, *result))
            told += note
    require_met(chosen, [attribute for _, attribute, _, _ in coded], where)
    drawn = Drawn(images.splits)
    if coded:
        labels = np.stack([labels for _, _, labels, _ in coded], axis=1)
        there = [target for title, target in targets.items() if records[title].get("seed", seed) == seed]
        draw = Draw(seed, fractions, tuple(there), near_copies, white, progress, memory)
        drawn = drawn_splits(images, labels, draw)
        told += drawn.notes
    splits = drawn.splits
    deep = depth_note(images.paths, set_white=white)
    told += [deep[0]] if deep else []
    subdatasets: list[SubDataset] = []
    sidecars: dict[Path, dict[str, Any]] = {}
    found: dict[str, Positive] = {}
    for column, attribute, known_labels, sign in coded:
        reason = _empty_class(attribute, known_labels, np.asarray(splits), given=bool(images.splits[0]))
        if reason is not None:
            _leave_out(column, reason, where, left_out)
            continue
        known = np.flatnonzero(known_labels >= 0).tolist()
        examples = (
            Example(images.paths[row], int(known_labels[row]), splits[row], images.groups[row], line)
            for line, row in enumerate(known, start=2)
        )
        subdataset = SubDataset(attribute, tuple(examples), targets[column.title])
        subdatasets.append(subdataset)
        if sign is not None:
            found[attribute.name] = sign
        sidecars[subdataset.source] = {
            "values": list(attribute.values),
            "positive": None if sign is None else asdict(sign),
            "source": where,
            "column": column.title,
            "seed": seed,
            "drawn": drawn.counts is not None,
            **({"splits": drawn.noted} if drawn.noted else {}),
            "passed_over": dict(passed_over or {}),
            **({"deep": {"note": deep[0], **deep[1]}} if deep else {}),
        }
    if not subdatasets:
        reasons = "; ".join(f"'{each.column}' {each.reason}" for each in left_out[:5]) or "there is no column of labels"
        raise DataError(f"{where}: no attribute could be made: {reasons}: give one column of labels per attribute")
    kept = put_in_place(subdatasets, sidecars, replace=replace)
    return ImportSummary(
        tuple(subdatasets), tuple(left_out), tuple(told), dict(passed_over or {}), found, kept, drawn.counts
    )


def _leave_out(column: LabelColumn, reason: str, where: str, left_out: list[SkippedColumn]) -> None:
    if column.required:
        raise DataError(f"{where}: '{column.title}' {reason}: correct its labels, or do not name it")
    left_out.append(SkippedColumn(column.title, reason))


def _coded(
    name: str, column: LabelColumn, chosen: Mapping[str, str], record: Mapping[str, Any]
) -> tuple[Attribute, Labels, Positive | None] | str:
    """The attribute, the value index of each image (-1 unknown) and the positive value, or why there is none."""
    known = {label for label in column.labels if label is not None}
    if not known:
        return "is blank in every row"
    canonical = spellings(known)
    values = set(canonical.values())
    if len(values) < 2:
        return f"holds only '{values.pop()}'"
    wrong = contradiction(values)
    if wrong is not None:
        return f"cannot be used: {wrong}"
    titles = named_values(values)
    canonical = {raw: titles[value] for raw, value in canonical.items()}
    attribute = attribute_of(name, canonical.values())
    sign = None
    if len(values) == 2:
        sign = _sign(attribute, values, titles, chosen, record)
        attribute = Attribute(name, tuple(sorted(attribute.values, key=lambda value: value == sign.value)))
    index: dict[str | None, int] = {raw: attribute.values.index(value) for raw, value in canonical.items()}
    index[None] = -1
    labels = np.fromiter((index[label] for label in column.labels), np.int64, len(column.labels))
    return attribute, labels, sign


def _sign(
    attribute: Attribute,
    values: set[str],
    titles: Mapping[str, str],
    chosen: Mapping[str, str],
    record: Mapping[str, Any],
) -> Positive:
    """Which of two values is positive: the one named now, or at an earlier import, or what tells itself."""
    named = chosen.get(attribute.name.casefold())
    if named is None:
        anywhere = [value for title, value in chosen.items() if title.startswith(":")]
        named = next((value for value in anywhere if titles.get(value, value) in attribute.values), None)
    if named is not None:
        value = titles.get(named, named)
        if value not in attribute.values:
            raise DataError(
                f"'{attribute.name}' has no value '{named}' to be the positive one: choose one of "
                f"{', '.join(attribute.values)}"
            )
        return Positive(value, "named with --positive", chosen=True)
    earlier = record.get("positive")
    if isinstance(earlier, dict) and earlier.get("chosen") is True and earlier.get("value") in attribute.values:
        return Positive(str(earlier["value"]), "as it was named at an earlier import", chosen=True)
    value, why = positive_and_why(values, attribute.name)
    low = next(each for each in values if each != value)
    if titles[value] != value:
        why = f"'{low}' and '{value}' are called no and yes"
    return Positive(titles[value], why)


def _empty_class(attribute: Attribute, labels: Labels, splits: NDArray[np.str_], *, given: bool) -> str | None:
    """Why a search could not use these splits: train, val, and test if there is one, must hold every value."""
    for split in SPLITS:
        chosen = labels[(splits == split) & (labels >= 0)]
        if split == "test" and not len(chosen):
            continue
        counts = np.bincount(chosen, minlength=len(attribute.values))
        if not counts.all():
            value = int(counts.argmin())
            total = int((labels == value).sum())
            images = "image" if total == 1 else "images"
            need = "" if given else ", and it takes three that may be split, one for each"
            return f"has no '{attribute.values[value]}' in {split} (there are {total} such {images} in all{need})"
    return None
