"""Write graftnet.toml: a new project's from the template, and values changed in place with all else left as it is."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.files import replace_atomically
from graftnet.errors import ConfigError
from graftnet.project.config import CONFIG_NAME

if TYPE_CHECKING:
    from graftnet.project.first_settings import First

KeyPath = tuple[str, ...]  # table names, then the key
BARE = re.compile(r"[A-Za-z0-9_-]+")


def write_project(folder: Path, first: "First | None" = None) -> Path:
    """Make ``folder`` a project and return the path of its graftnet.toml.

    first: what its [trunk] begins with, and why; None: the defaults.

    Raises:
        ConfigError: it is one already, or is a file.
    """
    config = folder / CONFIG_NAME
    if config.exists():
        raise ConfigError(f"{config} is there already; edit it, or choose another folder.")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; choose another name for the project's folder.")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("runs/\n", encoding="utf-8")
    text = template(folder.resolve().name)
    if first:
        text = set_values(text, {("trunk", key): value for key, value in first.trunk.items()})
        text = text.replace("[trunk]\n", "[trunk]\n" + "".join(f"# {line}\n" for line in first.why), 1)
    # Whole or not at all: a torn one would be there already when the disk has room again.
    replace_atomically(config, lambda path: path.write_text(text, encoding="utf-8"))
    return config


def template(name: str) -> str:
    """The commented graftnet.toml of a project with this name; every setting at its default."""
    text = (files("graftnet.project") / "graftnet.toml.template").read_text(encoding="utf-8")
    return text.replace('"@NAME@"', json.dumps(name))


def set_values(text: str, changes: Mapping[KeyPath, Any]) -> str:
    """The text with each key at its new value; a key that is not there is added to its table, a table at the end.

    Raises:
        ConfigError: the text writes a table in a way that cannot be changed so (inline, or by dotted keys).
    """
    wanted = tomllib.loads(text)
    lines = text.splitlines(keepends=True)
    for path, value in changes.items():
        node = wanted
        for table in path[:-1]:
            node = node.setdefault(table, {})
        node[path[-1]] = value
        lines = with_value(lines, path, value)
    changed = "".join(lines)
    try:
        read = tomllib.loads(changed)
    except tomllib.TOMLDecodeError:
        read = {}
    if read != json.loads(json.dumps(wanted)):
        shown = "; ".join(f"{dotted(path)} = {toml(value)}" for path, value in changes.items())
        raise ConfigError(f"These settings cannot be written into a file of this form; write them by hand: {shown}.")
    return changed


def with_value(lines: Sequence[str], path: KeyPath, value: Any) -> list[str]:
    """The lines with one key set."""
    header = dotted(path[:-1])
    start = next((n for n, line in enumerate(lines) if header_of(line) == header), None)
    if start is None:
        ended = [*lines[:-1], *(ensure_end(line) for line in lines[-1:])]
        gap = ["\n"] if ended and ended[-1].strip() else []
        return [*ended, *gap, f"[{header}]\n", f"{toml_key(path[-1])} = {toml(value)}\n"]
    end = next((n for n in range(start + 1, len(lines)) if header_of(lines[n]) is not None), len(lines))
    number = start + 1
    while number < end:
        entry = re.match(r"\s*([\w\"'-]+)\s*=\s*", lines[number])
        last, rest = extent(lines, number, entry.end(), end) if entry else (number, "")
        if entry and entry[1].strip("\"'") == path[-1]:
            written = aligned(lines[number][: entry.end()] + toml(value), lines[number], rest)
            return [*lines[:number], written, *lines[last + 1 :]]
        number = last + 1
    while end > start + 1 and not lines[end - 1].strip():
        end -= 1  # before the blank lines between tables
    before = [*lines[:end][:-1], ensure_end(lines[end - 1])]
    return [*before, f"{toml_key(path[-1])} = {toml(value)}\n", *lines[end:]]


def extent(lines: Sequence[str], number: int, start: int, end: int) -> tuple[int, str]:
    """The last line of the value that begins at a position of a line, and what follows it there: a comment, if any."""
    text = ""
    for last in range(number, end):
        line = lines[last][start if last == number else 0 :].rstrip("\n")
        for stop in [*(mark.start() for mark in re.finditer("#", line)), len(line)]:
            try:
                tomllib.loads(f"value = {text}{line[:stop]}")
            except tomllib.TOMLDecodeError:
                continue
            return last, line[stop:]
        text += f"{line}\n"
    return number, ""


def aligned(written: str, before: str, comment: str) -> str:
    """A key with its value and the comment that stood behind the old one, in the same column where there is room."""
    if not comment:
        return f"{written}\n"
    column = before.find(comment) if comment in before else 0
    return f"{written.ljust(max(column, len(written) + 1))}{comment}\n"


def header_of(line: str) -> str | None:
    """The table, or the next one of a list, that a line begins, as ``dotted`` writes it; None for other lines."""
    header = re.match(r"\s*\[\[?([^\[\]]+)\]?\]\s*(#.*)?$", line)
    if not header:
        return None
    parts = re.findall(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^.\s\"']+", header[1])
    return dotted(tuple(json.loads(part) if part[0] == '"' else part.strip("'") for part in parts))


def dotted(path: KeyPath) -> str:
    """A key with its tables, as TOML writes it.

    >>> dotted(("attributes", "blond hair", "trunk"))
    'attributes."blond hair".trunk'
    """
    return ".".join(toml_key(part) for part in path)


def toml_key(key: str) -> str:
    """A key, quoted where it has to be."""
    return key if BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def toml(value: Any) -> str:
    """A value as TOML writes it.

    >>> toml([8, 16]), toml(True), toml("macro"), toml(0.00025)
    ('[8, 16]', 'true', '"macro"', '0.00025')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def ensure_end(line: str) -> str:
    """A line with its line break."""
    return line if line.endswith("\n") else f"{line}\n"
