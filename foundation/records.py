"""Read records with distrust: files that may come from anywhere, held against the shape that they must have.

A project, a search's folder or a branch may be somebody else's, or damaged. So a record is read whole or not at all,
its values have the types and ranges that its shape (a TypedDict) says, names in it are plain ones, and no path that is
made of them leaves the folder it belongs in. Whatever is wrong is one sentence: which file, what is wrong, what to do.
"""

import json
import math
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from annotated_types import Ge, Le, Len

from foundation.errors import RecordError

MOST_BYTES = 2**28
LONGEST_NAME = 200
NO_NAME = set('/\\:*?"<>|')
# Names that Windows keeps for devices, whatever ending follows them.
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
LARGEST = 2**63
DEEPEST = 50  # brackets in brackets
HALF = re.compile(r"\\u[dD][89a-fA-F]")  # what may be half of a pair of characters, which nothing can write again
AGAIN = "restore it from a copy, or delete it and call again"
# What helps, by the name of the file.
REMEDIES = {
    "trunk.json": "restore it, or choose another trunk with `graftnet trunk use` or `graftnet trunk train`",
    "current.json": "restore it, or delete it and choose the trunk again with `graftnet trunk use`",
    "branch.json": "restore it, or search and graft the branch again",
    "label_graph.json": "restore it, or train the label graph again",
    "study.json": "restore it, or run the same `graftnet tune` again, which writes it anew",
    **dict.fromkeys(
        ("config.json", "result.json", "candidates.json", "history.jsonl"),
        "restore it, or delete the folder that it lies in and run the same command again",
    ),
}


class Checked:
    """A rule for a text in a shape, with its words: pydantic asks it after it has found a string."""

    def __init__(self, holds: Any, words: str) -> None:
        self.holds, self.words = holds, words

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """pydantic's own schema of the type, and behind it this rule."""
        from pydantic_core import PydanticCustomError, core_schema

        def check(text: str) -> str:
            if not self.holds(text):
                raise PydanticCustomError("text", self.words)
            return text

        return core_schema.no_info_after_validator_function(check, handler(source))


def is_plain_name(word: object) -> bool:
    """Whether it names something directly in a folder: no path, nothing hidden, no control characters, no device.

    >>> [is_plain_name(name) for name in ("bald", "Bild 1", "..", "a/b", "a\\x00", "CON.txt", "")]
    [True, True, False, False, False, False, False]
    """
    return (
        isinstance(word, str)
        and 0 < len(word) <= LONGEST_NAME
        and not word.startswith(".")
        and not word.endswith((" ", "."))
        and word.isprintable()
        and not set(word) & NO_NAME
        and word.split(".")[0].casefold() not in DEVICES
    )


def is_plain_path(path: object) -> bool:
    """Whether it is plain names with slashes between them: what leads down from a folder."""
    return isinstance(path, str) and all(is_plain_name(part) for part in path.split("/"))


def leads_down(path: object) -> bool:
    """Whether a path of somebody's stays below the folder it counts from, on any system; it may be hidden, or long.

    >>> [leads_down(path) for path in ("train/1.jpg", "../x", "a/../../x", "/etc/x", "C:\\\\x", "a\x00", "..\\\\x")]
    [True, False, False, False, False, False, False]
    """
    if not isinstance(path, str) or not path or "\x00" in path:
        return False
    kinds = (PurePosixPath(path), PureWindowsPath(path))
    return not any(kind.anchor or ".." in kind.parts for kind in kinds)


def is_text(text: object) -> bool:
    """Whether it can be written to a file: no half of a pair of characters, no zero byte."""
    return isinstance(text, str) and "\x00" not in text and not re.search("[\ud800-\udfff]", text)


Name = Annotated[str, Checked(is_plain_name, "should be a plain name: no path, nothing hidden")]
InnerPath = Annotated[str, Checked(is_plain_path, "should be a path that leads down, of plain names")]
Text = Annotated[str, Len(0, 1000), Checked(is_text, "should be text")]
Digest = Annotated[str, Checked(lambda text: re.fullmatch("[0-9a-f]{0,64}", text), "should be hex digits")]
Size = Annotated[int, Ge(1), Le(2**20)]
Depth = Annotated[int, Ge(0), Le(2**16)]
Whole = Annotated[int, Ge(-LARGEST), Le(LARGEST)]
Share = Annotated[float, Ge(0), Le(1)]
Shape = Annotated[list[Size], Len(3, 3)]


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a record's file.

    Raises:
        FileNotFoundError, PermissionError: as ever. RecordError: it is no file, is too large, or is no UTF-8.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            # A pipe would be waited for, a device read for ever.
            raise damaged(path, "it is no file")
        if about.st_size > most:
            raise damaged(path, f"it has {about.st_size} bytes, it may have {most} at most")
        return path.read_bytes().decode("utf-8")
    except (FileNotFoundError, PermissionError):
        raise
    except UnicodeDecodeError as error:
        raise damaged(path, f"byte {error.start} is no UTF-8") from error
    except OSError as error:
        raise damaged(path, str(error.strerror)) from error


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        FileNotFoundError, PermissionError: as ever. RecordError (a ValueError): it is no text, no JSON, or no object.
    """
    value = parsed(read_text(path), path)
    if not isinstance(value, dict):
        raise damaged(path, "Expecting an object")
    return value


def parsed(text: str, path: Path) -> Any:
    """The value that a JSON text says; no number in it is infinite, none, or longer than 64 bits.

    Raises:
        RecordError: it is no such JSON.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite, parse_int=_short)
        if _depth(value) > DEEPEST:
            raise RecursionError
        if HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as error:
        raise damaged(path, f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except UnicodeEncodeError as error:
        raise damaged(path, "a text in it has half a character") from error
    except ValueError as error:
        raise damaged(path, str(error)) from error
    except RecursionError as error:
        raise damaged(path, "it is nested too deeply") from error


def read_record(path: Path, shape: Any) -> dict[str, Any]:
    """The object that a JSON file holds, as it stands there, once it is seen to be of this shape.

    Raises:
        FileNotFoundError, PermissionError: as ever. RecordError: it cannot be read, or a value is not what it must be.
    """
    value = read_json(path)
    check(value, shape, path)
    return value


def check(value: Mapping[str, Any], shape: Any, path: Path) -> None:
    """Hold a record against its shape; keys that the shape does not name may say what they like, for nobody reads them.

    Raises:
        RecordError: the first value that is not what it must be.
    """
    from pydantic import ValidationError

    try:
        _adapter(shape).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise damaged(path, f"{_named(key)} {first['msg'][:1].lower()}{first['msg'][1:]}") from error
    except RecursionError as error:
        raise damaged(path, "it is nested too deeply") from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever fails in the block because a record lacks something, or has it otherwise, is the record's fault.

    For the values that no shape goes into.
    """
    try:
        yield
    except (RecordError, UnicodeEncodeError):
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        kind = "lacks" if isinstance(error, KeyError) else f"does not fit ({type(error).__name__}):"
        raise damaged(path, f"it {kind} {str(error)[:200]}") from error


def damaged(path: Path, what: str) -> RecordError:
    """The sentence about a record that cannot be used."""
    return RecordError(f"{path} cannot be read ({what}); {REMEDIES.get(path.name, AGAIN)}.")


def inside(root: Path, *parts: str) -> Path:
    """The path below a folder; what lies there may be a link, as long as it stays within.

    Raises:
        RecordError: it leaves the folder, by its name or by a link.
    """
    path = root.joinpath(*parts)
    try:
        kept = path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # a circle of links, a zero byte
        kept = False
    if not kept:
        raise RecordError(
            f"{path} leads out of {root}, which no record of ours does; take what it names from its maker."
        )
    return path


def require_no_links(folder: Path) -> None:
    """Refuse a folder that was received with links in it: they would read, or write, what lies elsewhere.

    Raises:
        RecordError: something directly in it is a link.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_symlink():
            raise RecordError(f"{path} is a link, which a folder of ours has none of; copy the file itself there.")


@cache
def _adapter(shape: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(shape)


def _depth(value: Any) -> int:
    """How deep lists and objects lie in each other, up to one more than is allowed; without recursion."""
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        parts = (part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list))
        level = [inner for part in parts for inner in part if isinstance(inner, dict | list)]
        depth += 1
    return depth


def _named(key: str) -> str:
    """The key in a sentence; it may be long, or not printable, for it is somebody else's."""
    return f"'{key[:80].encode('ascii', 'backslashreplace').decode()}'" if key else "the whole"


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _short(text: str) -> int:
    if len(text) > len(str(LARGEST)) + 1:
        raise ValueError(f"the number {text[:20]}... is too large")
    return int(text)
