"""graftnet report and graftnet graft: what a search found, and taking it into the project's tree."""

from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Folder, Json

Attribute = Annotated[str | None, typer.Argument(metavar="ATTR", help="Default: every attribute with a result.")]


def report(attribute: Attribute = None, project: Folder = None, as_json: Json = False) -> None:
    """Write the architecture report of the latest search.

    One self-contained page per attribute; it needs no network.

    \b
    Examples:
      graftnet report bald
      graftnet report            (one page per attribute)
    """
    from graftnet.project import open_project

    home = open_project(project)
    names = [attribute] if attribute else [name for name in home.sources() if home.latest(name)]
    folders = {name: home.latest_search(name) for name in names}
    from reports import write_report

    pages = {name: str(write_report(folder)) for name, folder in folders.items()}
    text = "\n".join(f"{name}: {page}" for name, page in pages.items())
    answer({"reports": pages}, text or "Nothing is searched yet; run `graftnet search --all`.", as_json=as_json)


def graft(
    attribute: Annotated[str, typer.Argument(metavar="ATTR", help="An attribute with a finished search.")],
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Graft an attribute's winner on the project's tree.

    The winner of its latest search; no other attribute changes by a single bit.

    \b
    Examples:
      graftnet graft bald
    """
    from graftnet.project import open_project

    home = open_project(project)
    home.latest_search(attribute)
    from graftnet.tree import graft_attribute

    branch = graft_attribute(home, attribute)
    text = f"Grafted {attribute} ({branch}).\nNext: graftnet export {attribute}, or graftnet export --all"
    answer({"attribute": attribute, "branch": branch}, text, as_json=as_json)
