"""Commands that a guide shows exist, with the options that it gives them."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from graftnet.cli import app
from tests.test_house import GUIDES, HISTORIES, name

ROOT = typer.main.get_command(app)
BLOCK = re.compile(r"^ *```(\w*)[^\n`]*\n(.*?)^ *```$", re.M | re.S)
INLINE = re.compile(r"`(graftnet [^`]+)`")


def calls(text: str) -> list[str]:
    """The command lines of a guide: in blocks, and between backquotes where they give an option."""
    found = [
        line.strip().removeprefix("$ ")
        for language, block in BLOCK.findall(text)
        if language in ("", "sh", "bash", "console", "text")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    lines = [part for line in found for part in re.split(r"\s&&\s|\s\|\s|;\s", line)]
    return [line for line in [*lines, *INLINE.findall(BLOCK.sub("", text))] if line.startswith("graftnet ")]


def wrong_with(call: str) -> str:
    """What is wrong with a call, or nothing: a command that is not there, or an option that it does not have."""
    command: Any = ROOT
    words = shlex.split(re.sub(r"\s(#|\(|→).*", "", call).replace("…", "").replace("'", ""))[1:]
    while words and hasattr(command, "commands"):
        word = words.pop(0)
        if word.startswith("-") or word in ("COMMAND", "..."):
            return ""
        if word not in command.commands:
            return f"{call!r}: no command {word}"
        command = command.commands[word]
    known = {spelling for part in command.params for spelling in (*part.opts, *getattr(part, "secondary_opts", ()))}
    for word in words:
        option = word.strip("[],").partition("=")[0]
        if re.match(r"-{1,2}[a-z]", option) and option not in {*known, "--help", "-h"}:
            return f"{call!r}: no option {option}"
    return ""


@pytest.mark.parametrize("guide", [path for path in GUIDES if path.name not in HISTORIES], ids=name)
def test_commands_and_options_exist(guide: Path) -> None:
    wrong = [wrong_with(call) for call in calls(guide.read_text(encoding="utf-8"))]
    assert [sentence for sentence in wrong if sentence] == []


def test_what_is_wrong_is_seen() -> None:
    block = "```\n$ graftnet search bald --fast  # x\ngraftnet serch bald\n```\n"
    text = f"{block}and `graftnet trunk use --al`, `graftnet doctor`"
    assert [wrong_with(call).rpartition(": ")[2] for call in calls(text)] == [
        *("no option --fast", "no command serch", "no option --al", ""),
    ]
