"""The reference made of the code is complete: every command and option, every key, every name, every record."""

import re

import pytest

from documentation.command_line import command_pages, commands, spelled
from documentation.hooks import reference_pages
from documentation.markdown import cell, prose
from documentation.python_api import PARTS
from documentation.records import FILES
from documentation.settings_keys import effects
from graftnet.project.config import Config

PAGES = reference_pages()
LISTS = ("attributes", "relations")  # of tables; each has words of its own


def test_every_command_stands_on_one_page_with_every_option() -> None:
    whole = "\n".join(command_pages().values())
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", whole, re.M | re.S))
    known = {words: command for words, command, _ in commands()}
    assert len(known) > 40
    assert set(sections) == set(known)
    for words, command in known.items():
        for part in command.params:
            name = spelled(part) if part.opts[0].startswith("-") else part.metavar or part.name.upper()
            (row,) = re.findall(rf"^\| `{re.escape(name)}` \|(.*)$", sections[words], re.M)
            assert row.split(" | ")[-1].strip(" |"), (words, name)  # it says what it does


def test_every_key_has_its_default_and_its_effect() -> None:
    page = PAGES["reference/settings.md"]
    sections = dict(re.findall(r"^## \[(.*?)\]\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    tables = {name: field.annotation for name, field in Config.model_fields.items() if name not in LISTS}
    assert set(sections) == {*tables, "[relations]"}
    for name, kind in tables.items():
        rows = re.findall(r"^\| `(\w+)` \| (`.*?`) \| (.*?) \| (.*) \|$", sections[name], re.M)
        assert [row[0] for row in rows] == [
            key.partition(".")[2] for key in effects() if key.startswith(f"{name}.") and "#" not in key
        ]
        assert {row[0] for row in rows} == set(kind.model_fields)  # type: ignore[union-attr]
        assert [row[0] for row in rows if not row[2].strip() or not row[3].strip()] == []


def test_every_name_of_the_python_page_says_what_it_is() -> None:
    page = PAGES["reference/python.md"]
    for modules in PARTS.values():
        for module, names in modules.items():
            for name in names:
                assert re.search(
                    rf"^### {name}\n\n```python\nfrom {module} import {name}\n.*?```\n\n\w", page, re.M | re.S
                )


def test_every_record_lists_its_fields() -> None:
    page = PAGES["reference/records.md"]
    for file in FILES:
        (section,) = re.findall(rf"^## {re.escape(file.name)}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
        assert [field for field in file.shape.__annotations__ if f"| `{field}` |" not in section] == []


@pytest.mark.parametrize("page", PAGES)
def test_no_row_of_a_table_has_more_cells_than_its_head(page: str) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", PAGES[page], re.M):
        rows = re.sub(r"`[^`]*`", "", table).splitlines()
        counts = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
        assert len(counts) == 1, table


def test_markdown_of_a_docstring() -> None:
    text = "Say ``x``; see :func:`a.b`.\n\nArgs:\n    one, two: what\n        they are.\n\n>>> 1 + 1\n2"
    assert prose(text).split("\n") == [
        *("Say `x`; see `a.b`.", "", "", "**Args**", "", "- `one, two`: what", "  they are."),
        *("", "", "```python", ">>> 1 + 1", "2", "```"),
    ]
    assert cell("`a|b` <x>\n[y]_") == r"`a|b` \<x> \[y\]\_"
