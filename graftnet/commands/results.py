"""graftnet report and graftnet graft: what a search found, and taking it into the project's tree."""

from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Folder, Json

Attribute = Annotated[str | None, typer.Argument(metavar="ATTR", help="Default: every attribute with a result.")]


def report(
    attribute: Attribute = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", metavar="A B", help="Two searches of ATTR: ids, folders, previous or latest."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Write the page of ATTR's running search again as its records arrive.")
    ] = False,
    every: Annotated[
        float | None, typer.Option("--every", min=0.1, metavar="S", help="With --watch: look every S seconds.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Read the data to see which results are still current.")
    ] = True,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Write the architecture report of the latest search.

    One self-contained page per attribute, and one over all of them; no network is needed.

    \b
    Examples:
      graftnet report bald
      graftnet report bald --watch
      graftnet report bald --compare previous latest
      graftnet report            (one page per attribute, and runs/reports/fleet.html)
    """
    from graftnet.project import open_project
    from graftnet.reporting import (
        require_attribute,
        require_watch,
        write_attribute,
        write_compared,
        write_every,
        write_watched,
    )

    require_attribute(attribute, {"--compare": compare, "--watch": watch or None})
    require_watch(watch, every)
    home = open_project(project)
    if watch and attribute:
        written = write_watched(home, attribute, every=every)
        answer(written.record(), written.text(), as_json=as_json)
        return
    if compare and attribute:
        written = write_compared(home, attribute, compare)
        answer(written.record(), written.text(), as_json=as_json)
        return
    written = write_attribute(home, attribute) if attribute else write_every(home, check=check)
    answer(written.record(), written.text(), as_json=as_json)


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
