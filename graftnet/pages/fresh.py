"""Pages that are as their records are not drawn again: of 200 attributes, those that were searched since.

Beside a search's page lies ``.report.json``: size and time of the files that page and card were made from, of both of
them, and what drew them. Where any of it is another, or cannot be read, both are written again; to compare times alone
would not do, for a record that is copied back from elsewhere is older than the page.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from foundation.files import read_json_if_whole, write_bytes
from reports.summaries.search import files_read

STAMP = ".report.json"
ROOT = Path(__file__).parents[2]
DRAWING = ("foundation", "search_spaces", "reports")  # the rooms that a page is made by
CODE = (".py", ".jinja", ".css", ".js")


def write_if_changed(folder: Path) -> Path:
    """The page of a search's folder; it and the model card are written where they are not as the records are.

    Raises:
        ReportError: there is no such folder, or nothing can be written there.
    """
    from reports.card import CARD

    page, card, before = folder / "report.html", folder / CARD, states(files_read(folder))
    stamp = read_json_if_whole(folder / STAMP)
    if stamp == {"drawn_by": drawn_by(), "read": before, "written": states([page, card])}:
        return page
    from reports import write_card, write_report

    page, card = write_report(folder), write_card(folder)
    # What was there before the drawing: a record that arrived meanwhile makes the page old.
    stamp = {"drawn_by": drawn_by(), "read": before, "written": states([page, card])}
    write_bytes(folder / STAMP, json.dumps(stamp).encode(), durable=False)
    return page


def states(paths: list[Path]) -> dict[str, Any]:
    """Size and time of each file, None for one that is not there; its name is the path's last two parts."""
    found: dict[str, Any] = {}
    for path in paths:
        try:
            state = path.stat()
        except OSError:
            found["/".join(path.parts[-2:])] = None
        else:
            found["/".join(path.parts[-2:])] = [state.st_size, state.st_mtime_ns]
    return found


@cache
def drawn_by() -> str:
    """Hash of the rooms that make a page: with another release, pages are drawn anew."""
    digest = hashlib.sha256()
    for room in DRAWING:
        for path in sorted(path for path in (ROOT / room).rglob("*") if path.suffix in CODE):
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]
