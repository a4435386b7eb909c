"""graftnet label: a page on this machine that grows a sub-dataset, or reviews one."""

import getpass
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graftnet.commands.options import START, Device, Folder, Json, Seed
from graftnet.terminal.output import answer

if TYPE_CHECKING:
    from graftnet.data.labelling.session import Labelling

commands = typer.Typer()


@commands.command("label", rich_help_panel=START)
def label(
    attribute: Annotated[str, typer.Argument(metavar="ATTR", help="The attribute; it need not be there yet.")],
    pool: Annotated[
        Path | None,
        typer.Argument(metavar="POOL", exists=True, file_okay=False, help="A folder of pictures; not for --review."),
    ] = None,
    values: Annotated[
        str | None, typer.Option("--values", metavar="A,B,...", help="The answers there are. Default: no,yes.")
    ] = None,
    examples: Annotated[
        list[str] | None,
        typer.Option("--example", metavar="VALUE=PATH", help="A picture, or a folder of some; may be repeated."),
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Look again at labels that are there and seem wrong, or conflict.")
    ] = False,
    page: Annotated[int, typer.Option("--page", min=1, max=200, metavar="N", help="Pictures on a page.")] = 24,
    share: Annotated[
        float | None,
        typer.Option(
            "--random", min=0.0, max=0.9, metavar="SHARE", help="Drawn at random, for val and test. Default: 0.3."
        ),
    ] = None,
    who: Annotated[
        str | None, typer.Option("--who", metavar="NAME", help="Stands beside the answers. Default: your login.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    project: Folder = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Label pictures on a page, those first that tell the most.

    Answer by key or click: y, n, u for unsure, z to undo, f for full size. After
    each page a probe on the trunk's features is fitted and chooses the next one;
    pictures for val and test are drawn at random. Every answer is kept at once:
    close, kill, and call it again.

    \b
    Examples:
      graftnet label umbrella photos/
      graftnet label sky photos/ --values clear,cloudy,rain
      graftnet label umbrella photos/ --example yes=found/ --example no=street.jpg
      graftnet label umbrella --review

    Writes data/ATTR.csv, and who answered what when beside it. Only this machine
    reaches the page. Needs the extra serve, and a trunk.
    """
    from graftnet.data.labelling.begin import LabelChoices, new_token, opened
    from graftnet.data.labelling.server import listen
    from graftnet.project.folder import open_project
    from graftnet.project.machine import choose_device
    from graftnet.terminal.output import show_progress

    home = open_project(project)
    choices = LabelChoices(
        values=tuple(value.strip() for value in values.split(",")) if values is not None else (),
        examples=tuple(examples or ()),
        share=share,
        seed=seed,
        page=page,
        who=login() if who is None else who,
        review=review,
    )
    with ExitStack() as stack:
        with show_progress() as progress:
            chosen = choose_device(device)
            labelling = stack.enter_context(opened(home, attribute, pool, choices, device=chosen, progress=progress))
        ready = listen(labelling, new_token(), port=port)
        asked = len(labelling.pool.contents)
        lines = [f"left out: {count:,} {reason}" for reason, count in labelling.pool.left_out.items()]
        lines.append(f"Label {attribute} at {ready.url} ({asked:,} pictures; Ctrl-C stops, answers are kept).")
        record = {"url": ready.url, "attribute": attribute, "pictures": asked, "left_out": labelling.pool.left_out}
        answer(record, "\n".join(lines), as_json=as_json)
        sys.stdout.flush()
        if browser:
            import webbrowser

            webbrowser.open(ready.url)
        ready.run()
    if not as_json:
        typer.echo("\n".join(closing_lines(labelling)))


def closing_lines(labelling: "Labelling") -> list[str]:
    """What was labelled, where it is, and what to do next."""
    table, told = labelling.table, labelling.counts()
    by_value = ", ".join(f"{sum(splits.values()):,} {value}" for value, splits in told["counts"].items())
    name = table.attribute.name
    return [
        f"{name}: {len(table.rows):,} labels ({by_value}), {told['unsure']:,} unsure, {told['left']:,} pictures left.",
        f"Labels: {table.path}; answers: {table.journal.path}",
        f"Next: `graftnet data check {name}`, then `graftnet search {name}`; or call this again to go on.",
    ]


def login() -> str:
    """Who works here, as the system calls them; empty where it does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
