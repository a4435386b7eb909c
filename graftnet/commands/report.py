"""graftnet report and graftnet graft: what a search found, and taking it into the project's tree."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.commands.options import USE, Folder, Json
from graftnet.terminal.output import answer

commands = typer.Typer()

Attribute = Annotated[str | None, typer.Argument(metavar="ATTR", help="Default: every attribute with a result.")]


@commands.command("report", rich_help_panel=USE)
def report(
    attribute: Attribute = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Two searches of ATTR: ids, folders, previous or latest."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Write the page of ATTR's running search again as its records arrive.")
    ] = False,
    every: Annotated[
        float | None, typer.Option(min=0.1, metavar="S", help="With --watch: look every S seconds.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--files", metavar="DIR", help="Tables as CSV and figures, too, each a file in DIR.")
    ] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", metavar="NAME", help="Of the figures: svg or png. Default: both.")
    ] = None,
    width: Annotated[int | None, typer.Option(metavar="PIXELS", help="Of the figures. Default: 1200.")] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Of all: read the data to see which results are still current.")
    ] = True,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Write the architecture report of the latest search.

    One self-contained page and one model card per attribute, and one page over
    all of them; no network is needed.

    \b
    Examples:
      graftnet report bald
      graftnet report bald --watch
      graftnet report bald --compare previous latest
      graftnet report bald --files figures/ --format png --width 1600
      graftnet report            (every attribute, and runs/reports/fleet.html)
    """
    from graftnet.pages import write as reporting
    from graftnet.project.folder import open_project

    watching = watch or None
    reporting.require_attribute(attribute, {"--compare": compare, "--watch": watching})
    reporting.require_apart({"--files": into, "--compare": compare, "--watch": watching})
    reporting.require_with("--watch", watch, {"--every": every})
    reporting.require_with("--files", into is not None, {"--format": formats or None, "--width": width})
    home = open_project(project)
    if attribute is None:
        written = reporting.write_every(home, check=check)
    elif watch:
        written = reporting.write_watched(home, attribute, every=every)
    elif compare:
        written = reporting.write_compared(home, attribute, compare)
    else:
        written = reporting.write_attribute(home, attribute)
    if into:
        written = reporting.with_files(written, into, formats, width)
    answer(written.record(), written.text(), as_json=as_json)


@commands.command("graft", rich_help_panel=USE)
def graft(
    attribute: Annotated[str, typer.Argument(metavar="ATTR", help="An attribute with a finished search.")],
    choice: Annotated[
        str | None,
        typer.Option(
            "--choice", metavar="KIND", help="searched, random, probe, joined_probe or tail. Default: what val chose."
        ),
    ] = None,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Graft an attribute's result on the project's tree.

    What val chose in its latest search, or another kind that the search
    trained; no other attribute changes by a single bit.

    \b
    Examples:
      graftnet graft bald
      graftnet graft bald --choice probe
    """
    from graftnet.project.folder import open_project

    home = open_project(project)
    home.latest_search(attribute)
    from graftnet.bundles.tree import graft_attribute, grafted_kind
    from graftnet.pages.fleet_record import not_current

    branch = graft_attribute(home, attribute, choice)
    if sentence := not_current(home, attribute):
        typer.echo(sentence, err=True)
    kind = grafted_kind(home, attribute)
    text = f"Grafted {attribute}: {kind} ({branch}).\nNext: graftnet export {attribute}, or graftnet export --all"
    answer({"attribute": attribute, "kind": kind, "branch": branch, "current": not sentence}, text, as_json=as_json)
