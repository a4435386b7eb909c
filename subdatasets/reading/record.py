"""The record of an import, `<name>.import.json` beside `<name>.csv`: what the table of images does not say itself.

Read with care, for a project may come from somebody else: what is not as it should be counts as not written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation.files import read_json_if_whole

SUFFIX = ".import.json"


def record_path(csv_path: Path) -> Path:
    """Where the record of a sub-dataset's import lies."""
    return csv_path.with_name(f"{csv_path.stem}{SUFFIX}")


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
