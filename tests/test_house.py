"""The house stays a map: few entries at a level, files of one idea, guides that name what is there."""

import ast
import re
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
ROOMS = (
    "foundation",
    "subdatasets",
    "trunk",
    "search_spaces",
    "branches",
    "label_graph",
    "nas",
    "reports",
    "deployment",
    "graftnet",
)
FACES = ("__init__.py", "__main__.py", "errors.py")
MODULES = sorted(path for room in ROOMS for path in (HOUSE / room).rglob("*.py"))
GUIDES = sorted([*HOUSE.glob("*.md"), *(HOUSE / "docs").rglob("*.md")])
# Records of what was: they name files as they were called then.
HISTORIES = ("CHANGELOG.md", "results.md")


def name(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


def test_no_level_holds_more_than_fifteen_entries() -> None:
    levels = sorted({module.parent for module in MODULES})
    entries = {
        name(level): [item for item in level.iterdir() if item.name not in ("__pycache__", "py.typed")]
        for level in levels
    }
    assert len(levels) > len(ROOMS)
    assert {level: len(items) for level, items in entries.items() if len(items) > 15} == {}


def test_a_file_is_one_idea_neither_a_crumb_nor_a_loaf() -> None:
    lines = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: count for path, count in lines.items() if count > 400} == {}
    crumbs = {path: count for path, count in lines.items() if count < 25 and not path.endswith(FACES)}
    assert crumbs == {}


# A first line names the thing; it asks nothing, and does not begin in the middle.
RIDDLES: tuple[str, ...] = (
    "All",
    "Everything",
    "From",
    "How",
    "If",
    "Nothing",
    "One",
    "So",
    "That",
    "To",
    "What",
    "When",
    "Where",
)
RIDDLES += ("Whether", "Which", "Who", "Why")


def test_a_module_says_in_its_first_line_what_it_is() -> None:
    texts = {name(path): ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for path in MODULES}
    firsts = {path: (text or "").split("\n")[0] for path, text in texts.items()}
    faces = ("__init__.py", "__main__.py")
    riddles = {path: first for path, first in firsts.items() if first.split(" ")[0].strip(",:") in RIDDLES}
    assert {path: first for path, first in riddles.items() if not path.endswith(faces)} == {}
    assert {path: first for path, first in firsts.items() if first.endswith("?") or len(first) < 15} == {}
    assert len(set(firsts.values())) == len(firsts)


def test_every_package_stands_on_the_map() -> None:
    text = (HOUSE / "docs" / "rooms.md").read_text(encoding="utf-8")
    packages = {name(path.parent) for path in MODULES if path.name == "__init__.py"}
    assert {package for package in packages if f"`{package}/`" not in text} == set()


@pytest.mark.parametrize("guide", [path for path in GUIDES if path.name not in HISTORIES], ids=name)
def test_guides_name_files_that_are_there(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    named = set(
        re.findall(rf"(?<![\w./-])((?:{'|'.join(ROOMS)}|tests|benchmarks|experiments|docs)/[\w/.-]+\.\w+)", text)
    )
    assert {path for path in named if not (HOUSE / path).exists()} == set()
    modules = set(re.findall(r"-m ((?:benchmarks|experiments)\.\w+)", text))
    assert {module for module in modules if not (HOUSE / (module.replace(".", "/") + ".py")).exists()} == set()
