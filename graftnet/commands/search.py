"""graftnet cache and graftnet search."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Device, Folder, Json, Seed


def cache(
    attributes: Annotated[list[str] | None, typer.Argument(metavar="ATTR...", help="Default: all of them.")] = None,
    project: Folder = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Compute the trunk's features ahead of a search.

    Every image passes the trunk once, whatever sub-datasets it is in; a search
    does this by itself.

    \b
    Examples:
      graftnet cache
      graftnet cache bald backpack --device cuda
    """
    from graftnet.devices import choose_device
    from graftnet.pipeline import cache_features
    from graftnet.progress import show_progress
    from graftnet.project import open_project

    home = open_project(project)
    names = [name for name in attributes or home.sources() if home.source(name)]
    with show_progress() as progress:
        record = cache_features(home, names, device=choose_device(device), progress=progress)
    lines = [f"{key}: {value}" for key, value in record.items()]
    answer(record, "\n".join(lines) or "Nothing to do.", as_json=as_json)


def search(
    attribute: Annotated[str | None, typer.Argument(metavar="ATTR", help="The attribute to search for.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every attribute without a current result.")] = False,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            metavar="FILE.npz",
            exists=True,
            dir_okay=False,
            help="Features of your own: x_train, y_train, x_val, y_val and, if you like, x_test, y_test.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="With --features: where the search is written.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Search again even where a current result exists.")] = False,
    warm_start: Annotated[
        bool | None,
        typer.Option(
            "--warm-start/--cold-start", help="From what earlier attributes learned. Default: search.warm_start."
        ),
    ] = None,
    project: Folder = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Search the branch of an attribute.

    The controller searches, the best candidates are retrained from scratch, the
    winner is compared with the controls, and the report is written.

    \b
    Examples:
      graftnet search bald
      graftnet search --all --device cuda
      graftnet search --features feats.npz --out searches/mine

    Settings: the \\[search], \\[retrain] and \\[controls] tables of
    graftnet.toml. After Ctrl-C or kill call it again: it continues.
    """
    from graftnet.searching import require_one, search_all, search_file, search_one

    require_one(attribute, everything, features, out)
    if features:
        found = [search_file(features, out, folder=project, seed=seed, device=device, force=force)]
    elif everything:
        found = search_all(project, seed=seed, device=device, force=force, warm_start=warm_start)
    else:
        found = [search_one(project, str(attribute), seed=seed, device=device, force=force, warm_start=warm_start)]
    record = {"searches": [result.record() for result in found]} if everything else found[0].record()
    text = "\n".join(result.text() for result in found) or "Every attribute has a current result."
    answer(record, text, as_json=as_json)
