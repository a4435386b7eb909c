"""Options, commands and settings that messages name exist: `--word`, `graftnet word`, `table.key` and `[table]`."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import pytest
from typer.main import get_command

from graftnet.cli import app
from graftnet.project.config import Config
from tests.test_house import HOUSE, MODULES

TABLES: Mapping[str, Any] = {name: field.annotation for name, field in Config.model_fields.items()}
# Not `var(--face)` of a style, and not a word of a rule such as `----`.
OPTION = re.compile(r"(?<![\w(-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
# What a message names of other programs; the program stands before it in the same text.
FOREIGN = {
    "--nproc-per-node": "torchrun",
    "--editable": "pip install",
    "--logdir": "tensorboard",
    "--head": "ray start",
    "--data-binary": "curl",
}
CALL = re.compile(r"graftnet ([a-z][a-z-]*(?: [a-z][a-z-]*)?)([^`;.]*)")
KEY = re.compile(rf"(?<![\w./\\:-])({'|'.join(TABLES)})\.([a-z_]+)\b(?![(/\\])")
ENDINGS = ("json", "onnx", "py", "safetensors", "csv", "zip", "pth", "html", "toml")
TABLE = re.compile(r"(?<![\w\])}\[])\[([a-z_]+)\](?![\[\]])")
OTHER_TABLES = ("rule",)  # of a file of rules


class Said(NamedTuple):
    """A text of the code; "{}" stands for what is put into it."""

    place: str
    text: str


def texts(node: ast.AST, *, docstrings: bool) -> Iterator[tuple[int, str]]:
    """Strings and f-strings below a node with their lines; docstrings where they are shown, as `--help` does."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in child.values]
            yield child.lineno, "".join(parts)
            for part in child.values:
                if isinstance(part, ast.FormattedValue):
                    yield from texts(part, docstrings=docstrings)
        elif isinstance(child, ast.Constant):
            if isinstance(child.value, str):
                yield child.lineno, child.value
        elif docstrings or not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
            yield from texts(child, docstrings=docstrings)


@cache
def said() -> tuple[Said, ...]:
    """Every text of every room; pytest's own rewriting does not come near it, as the source is read."""
    return tuple(
        Said(f"{path.relative_to(HOUSE).as_posix()}:{line}", text)
        for path in MODULES
        for line, text in texts(
            ast.parse(path.read_text(encoding="utf-8")),
            docstrings=path.parent.name == "commands" and path.name != "__init__.py",
        )
    )


@cache
def commands() -> dict[str, set[str]]:
    """Each command, by its words, with its options; "" is `graftnet` itself."""
    known: dict[str, set[str]] = {}
    waiting = [("", get_command(app))]
    while waiting:
        words, command = waiting.pop()
        options = {option for given in command.params for option in (*given.opts, *given.secondary_opts)}
        known[words] = options | {"--help"}
        below = getattr(command, "commands", {})
        waiting += [(f"{words} {name}".strip(), inner) for name, inner in below.items()]
    return known


def wrong(message: Said) -> list[str]:
    """What a text names that is not there."""
    every = set().union(*commands().values())
    found = [
        f"{option} is no option"
        for option in OPTION.findall(message.text)
        if option not in every and not (option in FOREIGN and FOREIGN[option] in message.text)
    ]
    for words, rest in CALL.findall(message.text):
        command = next((name for name in (words, words.split()[0]) if name in commands()), None)
        if command is None:
            continue  # "graftnet" in a sentence; a command that is none is what `unknown_calls` looks for
        found += [
            f"`graftnet {command}` has no {option}"
            for option in OPTION.findall(rest)
            if option not in commands()[command] and option not in FOREIGN
        ]
    found += [
        f"[{table}] has no {key}"
        for table, key in KEY.findall(message.text)
        if key not in ENDINGS and key not in getattr(TABLES[table], "model_fields", {key})
    ]
    tables = (*TABLES, *OTHER_TABLES)
    return found + [f"[{table}] is no table" for table in TABLE.findall(message.text) if table not in tables]


def unknown_calls(message: Said) -> list[str]:
    """Commands in backticks that there are not."""
    calls = re.findall(r"`graftnet ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", message.text)
    return [call for call in calls if call not in commands() and call.split()[0] not in commands()]


# Names of what a search's identity holds, translated before they are shown; modules of our own, in a list of imports.
NOT_SHOWN = {
    ("graftnet/searches/standing.py", "[retrain] has no metric"),
}


def test_everything_that_a_message_names_is_there() -> None:
    assert len(said()) > 5000, "the walk misses the code"
    found = {(message.place.partition(":")[0], fault): message for message in said() for fault in wrong(message)}
    assert {key: message for key, message in found.items() if key not in NOT_SHOWN} == {}
    assert set(found) >= NOT_SHOWN, "an exception that nothing needs any more"


def test_every_command_that_a_message_calls_is_there() -> None:
    assert [(message.place, calls) for message in said() if (calls := unknown_calls(message))] == []


def test_the_walk_meets_what_messages_name() -> None:
    told = "\n".join(message.text for message in said())
    assert {"--all", "--storage", "--freeze-depth"} <= set(OPTION.findall(told))
    assert {("trunk", "batch_size"), ("retrain", "batch_size")} <= set(KEY.findall(told))
    assert "features" in TABLE.findall(told)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import it again with --encodings NAME", "--encodings is no option"),
        ("call `graftnet trunk status --replace`", "`graftnet trunk status` has no --replace"),
        ("set trunk.batchsize lower", "[trunk] has no batchsize"),
        ("write it under [trunks]", "[trunks] is no table"),
        ("start ray with --head", "--head is no option"),
    ],
)
def test_a_name_that_is_not_there_is_found(text: str, fault: str) -> None:
    assert fault in [found.replace("--replace is no option", "") for found in wrong(Said("here", text))]


@pytest.mark.parametrize(
    "text",
    [
        "Name one attribute, or give --all; see `graftnet export --help`.",
        "lower trunk.batch_size or retrain.batch_size in graftnet.toml",
        "ray start --head",
        "{} holds no branch.json",
        "begin each rule with [[rule]]",
        "font-family: var(--face)",
    ],
)
def test_what_is_there_is_let_through(text: str) -> None:
    assert wrong(Said("here", text)) == []


def test_a_command_that_is_not_there_is_found() -> None:
    assert unknown_calls(Said("here", "call `graftnet fetch` first")) == ["fetch"]
    assert unknown_calls(Said("here", "call `graftnet data check` first")) == []
