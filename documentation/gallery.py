"""Real report pages in the site: those of a project on this machine, by default of the demo (`make demo`)."""

import os
from pathlib import Path

from documentation.markdown import cell

MARK = "<!-- pages -->"
# Another project's, where its pages are to be shown: GALLERY=people make docs.
PROJECT = Path(os.environ.get("GALLERY", "runs/demo"))
NONE = (
    "*This site was built without: `make demo`, then `make docs` again, puts the demo's own pages here; "
    "`GALLERY=people make docs` those of your project.*"
)


def gallery_pages(project: Path) -> dict[str, tuple[str, Path]]:
    """Path in the site -> title and file of a project's pages, of an attribute the newest."""
    pages: dict[str, tuple[str, Path]] = {}
    overview = project / "runs" / "reports" / "fleet.html"
    if overview.is_file():
        pages["gallery/all-attributes.html"] = ("All attributes", overview)
    for folder in sorted((project / "runs" / "searches").glob("*")):
        reports = sorted(folder.glob("*/report.html"), key=lambda path: path.stat().st_mtime)
        if reports:
            pages[f"gallery/attribute-{len(pages)}.html"] = (folder.name, reports[-1])
    return pages


def gallery_list(pages: dict[str, tuple[str, Path]]) -> str:
    """Links to the pages as Markdown, or how to get some."""
    return "\n".join(f"- [{cell(title)}]({path})" for path, (title, _) in pages.items()) or NONE
