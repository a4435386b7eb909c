"""Reference pages of the command line, out of the commands themselves: one page for each panel of `graftnet --help`."""

from collections.abc import Iterator
from typing import Any

import typer

from documentation.markdown import cell, code, table
from graftnet.cli import app
from graftnet.commands.options import PANELS

FILES = dict(zip(PANELS, ("start", "search", "use", "help"), strict=True))


def commands(command: Any = None, path: tuple[str, ...] = ("graftnet",), panel: str = "") -> Iterator[tuple[Any, ...]]:
    """Every command that does something: its words, itself, and the panel that it, or its group, stands in."""
    command = command or typer.main.get_command(app)
    own = command.rich_help_panel if isinstance(getattr(command, "rich_help_panel", None), str) else panel
    for name, part in getattr(command, "commands", {}).items():
        yield from commands(part, (*path, name), own or panel)
    if not hasattr(command, "commands"):
        yield " ".join(path), command, own


def command_pages() -> dict[str, str]:
    """The pages: their file's name -> their Markdown."""
    pages: dict[str, list[str]] = {panel: [] for panel in PANELS}
    for words, command, panel in commands():
        pages[panel].append(command_section(words, command))
    intro = (
        "Every option of these commands, as `--help` says it. Exit codes: 0 done, 1 failed at run time, 2 the input or "
        "the call was wrong, 130 or 143 stopped. What a command is for: [all commands](../commands.md)."
    )
    return {
        f"reference/commands-{FILES[panel]}.md": "\n\n".join([f"# Commands: {panel.lower()}", intro, *sections]) + "\n"
        for panel, sections in pages.items()
    }


def command_section(words: str, command: Any) -> str:
    """One command: what it does, how it is called, its options."""
    arguments = [part for part in command.params if not part.opts[0].startswith("-")]
    options = [part for part in command.params if part not in arguments]
    call = " ".join([words, *(usage(part) for part in arguments), *(["[OPTIONS]"] if options else [])])
    parts = [f"## {words}", help_text(command.help or ""), f"```text\n{call}\n```"]
    if arguments or options:
        rows = [
            (code(part.metavar or part.name.upper() if part in arguments else spelled(part)), *described(part))
            for part in (*arguments, *options)
        ]
        parts.append(table(("option", "takes", "default", "what it does"), rows))
    return "\n\n".join(parts)


def usage(part: Any) -> str:
    """An argument in the line of the call."""
    name = part.metavar or part.name.upper()
    return str(name if part.required else f"[{name}]")


def spelled(part: Any) -> str:
    """An option's names, with the one that turns it off."""
    return ", ".join((*part.opts, *part.secondary_opts))


def described(part: Any) -> tuple[str, str, str]:
    """What an option takes, its default, and its help."""
    flag = getattr(part, "is_flag", False)
    takes = "" if flag else part.metavar or kind(part)
    default = "required" if part.required else ""
    if not part.required and part.default not in (None, "", False) and not callable(part.default):
        default = code(part.default)
    repeated = " May be given again." if getattr(part, "multiple", False) else ""
    return code(takes), default, cell((part.help or "").strip() + repeated)


def help_text(text: str) -> str:
    r"""A command's help as Markdown: paragraphs as they are, what stands behind \b as a block."""
    parts: list[str] = []
    for paragraph in text.replace("\\[", "[").split("\n\n"):
        if not paragraph.startswith("\b"):
            parts.append(cell(paragraph))
            continue
        title, _, rest = paragraph.removeprefix("\b\n").partition("\n")
        lines = [line.removeprefix("  ") for line in rest.splitlines()]
        parts.append(f"{cell(title)}\n\n```text\n" + "\n".join(lines) + "\n```")
    return "\n\n".join(parts)


def kind(part: Any) -> str:
    """What an option without a name of its own takes, by its default."""
    return {int: "N", float: "NUMBER"}.get(type(part.default), "TEXT")
