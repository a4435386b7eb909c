"""Explain failures in one sentence and an exit code: 1 failed at run time, 2 the input or the call was wrong.

What only a failure needs is imported where one is explained: every command imports this module.
"""

import errno
from contextlib import suppress
from pathlib import Path

from deployment.errors import BundleError
from foundation.errors import UserError
from graftnet.errors import ConfigError

READS = ("read", "load", "open", "import", "inspect")  # functions that turn a file into something in memory
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
# A file where a folder is needed, a folder where a file is, a link in a ring.
IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)


def is_user_error(error: BaseException) -> bool:
    """Whether the message is a finished sentence about the user's input."""
    return isinstance(error, UserError | BundleError)


def explain(error: BaseException, runs: Path | None = None) -> tuple[str, int]:
    """The sentence to show and the exit code; a bug's traceback is kept in a file that the sentence names.

    ``runs``: the project's folder for it; by default that of the project around the working directory.
    """
    if is_user_error(error):
        sentence = " ".join(str(error).split())
        return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}.", 2
    if is_disk_full(error):
        file = getattr(error, "filename", None)
        return f"The disk is full{f' (writing {file})' if file else ''}; free some space and call again.", 2
    if _too_large(error):
        return "A file would become larger than this disk or `ulimit -f` allows; choose another disk, or raise it.", 2
    if isinstance(error, OSError) and error.errno in NOT_ALLOWED:
        return f"{error.filename}: {error.strerror}; choose a place you may read and write.", 2
    if isinstance(error, OSError) and error.filename and error.errno in (*IN_THE_WAY, errno.ENAMETOOLONG):
        place = error.filename2 or error.filename
        return f"{place}: {error.strerror}; choose another place, or remove what is in the way.", 2
    if isinstance(error, ModuleNotFoundError) and (extra := _extra_with(error.name or "")):
        return f"This needs the package {error.name}; install it with: pip install 'graftnet[{extra}]'.", 2
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        file = file_being_read(error)
        if file is not None:
            size = f"{file.stat().st_size / 1e9:,.1f} GB"
            return f"The memory is full: {file} ({size}) is too large for it when read; give a smaller file.", 1
        return "The memory is full; lower trunk.batch_size or retrain.batch_size in graftnet.toml and call again.", 1
    written = write_traceback(error, runs)
    first = (str(error).splitlines() or [""])[0]
    return (
        f"A bug: {type(error).__name__}: {first}. The traceback is in {written}; please report it with the output of "
        "`graftnet doctor`."
    ), 1


def file_being_read(error: BaseException) -> Path | None:
    """The file that was being read when the memory ran out; None where something else filled it."""
    found, frame = None, error.__traceback__
    while frame is not None:
        code, names = frame.tb_frame.f_code, frame.tb_frame.f_locals
        if code.co_name.lstrip("_").startswith(READS):
            candidates = (names.get(name) for name in ("path", "file", "source", "table"))
            found = next((path for path in candidates if isinstance(path, Path) and path.is_file()), found)
        frame = frame.tb_next
    return found


def _extra_with(module: str) -> str | None:
    """The extra that brings a module; what knows them is imported once one is missing, not at every start."""
    from graftnet.project.machine import find_extra

    return find_extra(module)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether the system had no room left, whichever library noticed it."""
    from foundation.files import DISK_FULL  # here, as all that --help can do without

    while error is not None:
        if (isinstance(error, OSError) and error.errno in DISK_FULL) or any(
            said in str(error) for said in ("No space left on device", "disk is full")
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def _too_large(error: BaseException | None) -> bool:
    """Whether a file met its largest size, whichever library wrote it."""
    while error is not None:
        if (isinstance(error, OSError) and error.errno == errno.EFBIG) or "File too large (os error" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def write_traceback(error: BaseException, runs: Path | None = None) -> Path:
    """Keep a bug's traceback under the project's runs/, or in the temporary folder outside of a project."""
    import tempfile
    import traceback
    from datetime import UTC, datetime

    from graftnet.project.folder import open_project

    text = "".join(traceback.format_exception(error))
    name = f"graftnet-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.txt"
    folders = [Path(tempfile.gettempdir())]
    with suppress(ConfigError, OSError):
        folders.insert(0, (runs or open_project().runs) / "errors")
    for folder in folders:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
            return folder / name
    return Path("nowhere (no folder is writable)")
