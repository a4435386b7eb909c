"""Values changed in a TOML text; everything else stays as it was."""

import tomllib
from typing import Any

import pytest

from graftnet.errors import ConfigError
from graftnet.project.config import parse_config
from graftnet.project.toml_edit import set_values, template

TEXT = """# A project.
[search]   # how
nodes = 4                     # in the chain
widths = [
    8,  # small
    16,
]  # channels
name = "a # b"   # a name with a hash

[search.extra]
nodes = 9

[retrain]
epochs = 12"""


def test_only_the_value_changes() -> None:
    changed = set_values(TEXT, {("search", "nodes"): 12, ("search", "name"): "c"})
    assert changed == TEXT.replace("nodes = 4                     #", "nodes = 12                    #").replace(
        'name = "a # b"   #', 'name = "c"       #'
    )


def test_a_value_over_several_lines_becomes_one() -> None:
    changed = set_values(TEXT, {("search", "widths"): [32]})
    assert "widths = [32]" in changed
    assert "# channels" in changed
    assert "# small" not in changed
    assert changed.count("\n") == TEXT.count("\n") - 3


def test_a_new_key_ends_its_table_and_a_new_table_the_file() -> None:
    changed = set_values(
        TEXT, {("search", "seed"): 3, ("retrain", "noise"): 0.25, ("attributes", "x y", "t", "k"): True}
    )
    lines = changed.splitlines()
    assert lines[lines.index("[search.extra]") - 2 : lines.index("[search.extra]")] == ["seed = 3", ""]
    assert lines[-5:] == ["epochs = 12", "noise = 0.25", "", '[attributes."x y".t]', "k = true"]
    assert set_values("", {("a", "b"): 1}) == "[a]\nb = 1\n"


def test_a_longer_value_pushes_its_comment() -> None:
    changed = set_values(TEXT, {("search", "nodes"): "a value that is much longer than the old one"})
    assert 'nodes = "a value that is much longer than the old one" # in the chain' in changed


@pytest.mark.parametrize(
    "text", ["search = {nodes = 4}\n", "search.nodes = 4\n", "[search]\n[[search.nodes]]\na = 1\n"]
)
def test_a_form_that_cannot_be_changed_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write them by hand: search.nodes = 5"):
        set_values(text, {("search", "nodes"): 5})


def test_every_setting_of_the_template_can_be_changed_alone() -> None:
    text = template("x")
    before = tomllib.loads(text)
    other: dict[type, Any] = {int: 77, float: 0.77, str: "else", bool: None, list: [5]}
    for table, settings in before.items():
        for key, value in settings.items():
            new = not value if isinstance(value, bool) else other[type(value)]
            changed = set_values(text, {(table, key): new})
            now = tomllib.loads(changed)
            assert now[table].pop(key) == new
            assert now == {**before, table: {k: v for k, v in settings.items() if k != key}}
            comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
            assert [line.partition("#")[2] for line in changed.splitlines() if "#" in line] == comments


def test_what_is_written_is_read_back() -> None:
    changed = set_values(template("x"), {("attributes", "bald", "search", "widths"): [8]})
    assert parse_config(changed).attributes["bald"].search.widths == (8,)
