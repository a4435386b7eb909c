"""Pages that are run or filled in: the tutorial's script, the gallery, and Python blocks that can be compiled."""

import ast
import re
from pathlib import Path

import pytest

from documentation.gallery import NONE, gallery_list, gallery_pages
from documentation.tutorial import Run, blocks
from graftnet.project.config import parse_config
from graftnet.project.toml_edit import template
from tests.test_house import GUIDES, HOUSE, name

TUTORIAL = (HOUSE / "docs" / "tutorial.md").read_text(encoding="utf-8")


def test_the_tutorial_writes_its_files_and_shows_outputs() -> None:
    files = {block.file: block.text for block in blocks(TUTORIAL) if block.file}
    assert list(files) == ["digits.py", "graftnet.toml"]
    parse_config(files["graftnet.toml"])
    written = template("digits")
    for key in re.findall(r"^\w+ =", files["graftnet.toml"], re.M):
        assert re.search(rf"^{key}", written, re.M)  # "each is there already"
    shown = [block.text for block in blocks(TUTORIAL) if block.language == "console"]
    commands = [line for text in shown for line in text.splitlines() if line.startswith("$ ")]
    assert commands[-1].startswith("$ curl")
    assert all(re.search(r"^(?!\$ ).", text, re.M) for text in shown)  # each block shows what came out
    assert "/work" not in TUTORIAL
    assert "/tmp" not in TUTORIAL


def test_a_page_is_run_and_its_outputs_are_written(tmp_path: Path) -> None:
    page = (
        '```python title="a.py"\nprint("x" * 3)\n```\nthen\n'
        '```toml title="b.toml"\n[trunk]\nsteps = 7\n```\n'
        "```console\n$ python a.py\nold\n$ cd ..\n$ pwd\n```\n```toml\nno = 1\n```\n"
    )
    folder = tmp_path / "run"
    run = Run(folder)
    (folder / "b.toml").write_text("[trunk]  # why\nsteps = 1  # so many\n")
    texts = [run.block(block) for block in blocks(page)]
    assert texts[2] == f"$ python a.py\nxxx\n$ cd ..\n$ pwd\n{tmp_path}\n"
    assert (folder / "b.toml").read_text() == "[trunk]  # why\nsteps = 7  # so many\n"
    assert run.shown(f"{folder}/x\n") == "/home/you/x\n"
    long = run.shown("\n".join(map(str, range(99)))).splitlines()
    assert (len(long), long[14], long[-1]) == (23, "...", "98")
    with pytest.raises(SystemExit, match="is not empty"):
        Run(folder)


@pytest.mark.parametrize("guide", GUIDES, ids=name)
def test_python_blocks_are_python(guide: Path) -> None:
    for block in re.findall(r"^( *)```python[^\n]*\n(.*?)^ *```", guide.read_text(encoding="utf-8"), re.M | re.S):
        ast.parse(re.sub(rf"^{block[0]}", "", block[1], flags=re.M))


def test_the_gallery_has_a_projects_newest_pages(tmp_path: Path) -> None:
    assert gallery_list(gallery_pages(tmp_path)) == NONE
    for attribute, search in (("a_b", "1"), ("a_b", "2"), ("c", "1")):
        folder = tmp_path / "runs" / "searches" / attribute / search
        folder.mkdir(parents=True)
        if attribute != "c":
            (folder / "report.html").write_text(search)
    (tmp_path / "runs" / "reports").mkdir()
    (tmp_path / "runs" / "reports" / "fleet.html").write_text("all")
    pages = gallery_pages(tmp_path)
    assert [page.read_text() for _, page in pages.values()] == ["all", "2"]
    assert gallery_list(pages) == (
        "- [All attributes](gallery/all-attributes.html)\n- [a\\_b](gallery/attribute-1.html)"
    )
