"""The record of an import, `<name>.import.json` beside `<name>.csv`: what the table of images does not say itself.

Read with care, for a project may come from somebody else: what is not as it should be counts as not written.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from foundation.files import read_json_if_whole
from subdatasets.splits import SPLITS

SUFFIX = ".import.json"


def record_path(csv_path: Path) -> Path:
    """Where the record of a sub-dataset, a CSV or a folder, lies."""
    name = csv_path.stem if csv_path.suffix.casefold() in (".csv", ".parquet", ".tar", ".zip") else csv_path.name
    return csv_path.with_name(f"{name}{SUFFIX}")


DIGITS = 16  # of a content hash, enough to tell images apart


def noted(contents: Iterable[str], splits: Iterable[str]) -> dict[str, list[str]]:
    """What a record says of splits: split -> the first digits of the contents in it."""
    found = {content[:DIGITS]: split for content, split in zip(contents, splits, strict=True)}
    return listed(found)


def listed(known: Mapping[str, str]) -> dict[str, list[str]]:
    """Digits -> split, as a record has it."""
    found: dict[str, list[str]] = {}
    for digits, split in sorted(known.items()):
        found.setdefault(split, []).append(digits)
    return found


def known_digits(record: Mapping[str, Any]) -> dict[str, str]:
    """Digits -> split, of all that a record notes."""
    splits = record.get("splits")
    known: dict[str, str] = {}
    for split in SPLITS if isinstance(splits, dict) else ():
        found = splits.get(split) if isinstance(splits, dict) else None
        known |= {each: split for each in (found if isinstance(found, list) else ()) if isinstance(each, str)}
    return known


def noted_splits(record: Mapping[str, Any], contents: Iterable[str]) -> dict[str, str]:
    """Content hash -> the split that a record notes for it, of those of these contents that it knows."""
    known = known_digits(record)
    return {content: known[content[:DIGITS]] for content in contents if content[:DIGITS] in known}


def read_import_record(csv_path: Path) -> dict[str, Any]:
    """The record beside a CSV; empty where it was not imported, or before there were records."""
    path = record_path(csv_path)
    # A pipe of that name would keep the reader waiting for ever.
    return read_json_if_whole(path) if path.is_file() else {}


def recorded_order(record: Mapping[str, Any], found: set[str]) -> tuple[str, ...] | None:
    """The order of these values as it was recorded; None where it was not, or where there are others by now."""
    values = record.get("values")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return None
    order = tuple(value for value in dict.fromkeys(values) if value in found)
    return order if set(order) == found and len(order) > 1 else None


def recorded_counts(record: Mapping[str, Any]) -> dict[str, int]:
    """What the import passed over: reason -> how many files or rows."""
    counts = record.get("passed_over")
    if not isinstance(counts, dict):
        return {}
    return {str(reason): count for reason, count in counts.items() if isinstance(count, int) and 0 < count < 10**12}
