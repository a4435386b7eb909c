"""The model cards of an export: of each grafted branch, from the search that it is the winner of."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from foundation.files import read_json_if_whole
from graftnet.project import Project
from reports import write_card


def cards_of(project: Project, attributes: Sequence[str]) -> dict[str, str]:
    """The text of each branch's ``card.md``; none for a branch whose search is gone."""
    found = {}
    for name in attributes:
        search = search_of(project, name)
        if search is not None:
            with tempfile.TemporaryDirectory() as temporary:
                found[name] = write_card(search, Path(temporary) / "card.md").read_text(encoding="utf-8")
    return found


def search_of(project: Project, attribute: str) -> Path | None:
    """The newest search whose winner is the attribute's grafted branch: both tell the same of it, weights included."""
    grafted = read_json_if_whole(project.tree / attribute / "branch.json")
    if not grafted:
        return None
    searches = reversed(project.results(attribute))
    return next((one for one in searches if read_json_if_whole(one / "branch" / "branch.json") == grafted), None)
