"""The model cards of an export: of each grafted branch, from the search that it is the winner of."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

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
    grafted = told(project.tree / attribute)
    if grafted is None:
        return None
    return next((one for one in reversed(project.results(attribute)) if told(one / "branch") == grafted), None)


def told(branch: Path) -> object:
    """What a saved branch's ``branch.json`` says; None where there is none that can be read."""
    try:
        return json.loads((branch / "branch.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
