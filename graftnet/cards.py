"""The model cards of an export: of each grafted branch, from the search that it is the winner of."""

import json
from collections.abc import Sequence
from pathlib import Path

from graftnet.project import Project
from reports import write_card


def write_cards(project: Project, attributes: Sequence[str], export: Path) -> list[Path]:
    """Write ``card.md`` into each branch's folder of an export; none for a branch whose search is gone."""
    found = []
    for name in attributes:
        search = search_of(project, name)
        if search is not None:
            found.append(write_card(search, export / name / "card.md"))
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
