"""Hooks of mkdocs: the reference pages are made out of the code at every build, and lie nowhere else.

Beside them the gallery's pages, where a project on this machine has any.
"""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from documentation.command_line import command_pages
from documentation.gallery import MARK, PROJECT, gallery_list, gallery_pages
from documentation.python_api import python_page
from documentation.records import records_page
from documentation.settings_keys import settings_page


def reference_pages() -> dict[str, str]:
    """All generated pages: path below docs/ -> Markdown."""
    return {
        **command_pages(),
        "reference/settings.md": settings_page(),
        "reference/python.md": python_page(),
        "reference/records.md": records_page(),
    }


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages to those of docs/."""
    for path, text in reference_pages().items():
        files.append(File.generated(config, path, content=text))
    for path, (_, page) in gallery_pages(PROJECT).items():
        files.append(File.generated(config, path, abs_src_path=str(page.resolve())))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put links to the gallery's pages where its page has the mark."""
    return markdown.replace(MARK, gallery_list(gallery_pages(PROJECT)))


def on_post_build(config: Any) -> None:
    """Write the search's index as a script too: out of a file, a browser fetches nothing."""
    folder = Path(config.site_dir) / "search"
    index = (folder / "search_index.json").read_text(encoding="utf-8")
    (folder / "search_index.js").write_text(f"var __index = {index}", encoding="utf-8")
