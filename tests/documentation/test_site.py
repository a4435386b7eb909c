"""The site is built without a warning, its links lead somewhere, and it asks nothing of a network."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urljoin

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

from tests.test_house import HOUSE

ATTRIBUTE = re.compile(r'<(\w+)[^>]*?\s(?:href|src)="([^"]*)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does; strict, so that a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(HOUSE / "mkdocs.yml"), site_dir=str(folder)))
    return folder


def pages(site: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(site.rglob("*.html")):
        yield path, path.read_text(encoding="utf-8")


def test_every_guide_and_every_generated_page_is_a_page_of_it(site: Path) -> None:
    made = {path.relative_to(site).with_suffix(".md").as_posix() for path, _ in pages(site)}
    written = {path.relative_to(HOUSE / "docs").as_posix() for path in (HOUSE / "docs").rglob("*.md")}
    generated = {f"reference/{name}.md" for name in ("commands-search", "settings", "python", "records")}
    assert written | generated <= made


def test_links_lead_to_pages_and_to_places_in_them(site: Path) -> None:
    anchors = {path: set(re.findall(r'\sid="([^"]+)"', text)) for path, text in pages(site)}
    gone = set()
    for path, text in pages(site):
        if path.name == "404.html":  # its links count from wherever it is shown
            continue
        for _, target in ATTRIBUTE.findall(text):
            if re.match(r"(https?|mailto|data):", target):
                continue
            place, _, anchor = unquote(target).partition("#")
            file = Path(urljoin(str(path), place)) if place not in ("", ".") else path
            if not file.is_file() or (anchor and not anchor.startswith("__") and anchor not in anchors.get(file, ())):
                gone.add((path.name, target))
    assert gone == set()


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    for path, text in pages(site):
        loaded = {target for tag, target in ATTRIBUTE.findall(text) if tag != "a" and "//" in target}
        assert loaded == set(), path
        assert "@import" not in text
    # out of a file a browser fetches nothing: the index of the search lies there as a script too
    assert (site / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index = {")
