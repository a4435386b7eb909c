"""Files that are there whole or not at all."""

import os
import tempfile
from pathlib import Path

from reports.errors import ReportError


def write_whole(data: bytes, target: Path) -> Path:
    """Write a file, whole or not at all, and return its path. Raises ReportError when it cannot be written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=target.parent, prefix=".report-", suffix=target.suffix)
    except OSError as error:
        raise _not_written(target, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(draft, 0o644)
        os.replace(draft, target)
    except OSError as error:
        raise _not_written(target, error) from error
    finally:
        Path(draft).unlink(missing_ok=True)
    return target


def _not_written(target: Path, error: OSError) -> ReportError:
    return ReportError(f"The report cannot be written to {target} ({error.strerror}): name another place.")
