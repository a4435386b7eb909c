"""graftnet cache and graftnet search."""

from pathlib import Path
from typing import Annotated, Any

import typer

from graftnet.answer import answer
from graftnet.options import Device, Folder, Json, Seed, spread
from graftnet.overrides import HERE, NONE, Overrides, PlaceOptions


def cache(
    attributes: Annotated[list[str] | None, typer.Argument(metavar="ATTR...", help="Default: all of them.")] = None,
    project: Folder = None,
    device: Device = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it takes, in bytes and seconds, and do nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compute the trunk's features ahead of a search.

    Every image passes the trunk once per view, whatever sub-datasets it is in;
    a search does this by itself. Views and storage: \\[features] of graftnet.toml.

    \b
    Examples:
      graftnet cache
      graftnet cache bald backpack --device cuda
      graftnet cache --dry-run
    """
    from graftnet.devices import choose_device
    from graftnet.pipeline import cache_features, estimate_features
    from graftnet.progress import show_progress
    from graftnet.project import open_project
    from graftnet.searching import announce

    home = open_project(project)
    names = [name for name in attributes or home.sources() if home.source(name)]
    chosen = choose_device(device)
    if dry_run:
        estimate = estimate_features(home, names, device=chosen)
        answer(estimate.record(), estimate.sentence(), as_json=as_json)
        return
    with show_progress() as progress:
        record = cache_features(home, names, device=chosen, announce=announce, progress=progress)
    lines = [f"{key}: {value}" for key, value in record.items()]
    answer(record, "\n".join(lines) or "Nothing to do.", as_json=as_json)


@spread
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
    overrides: Overrides = NONE,
    force: Annotated[bool, typer.Option("--force", help="Search again even where a current result exists.")] = False,
    place: PlaceOptions = HERE,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="With ATTR: the search's curves as TensorBoard event files too.")
    ] = False,
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
      graftnet search --all --workers 2
      graftnet search --all --on ray --address head:6379 --gpus 1
      graftnet search bald --strategy nni-evolution
      graftnet search bald --max-parameters 50000 --max-latency 0.5
      graftnet search bald --branch tail --freeze-depth 6 --blocks 8 --pooling bilinear
      graftnet search --features feats.npz --out searches/mine

    Settings: the \\[search], \\[retrain] and \\[controls] tables of
    graftnet.toml. After Ctrl-C or kill call it again: it continues.
    """
    from graftnet.errors import ConfigError
    from graftnet.searching import require_one, search_file, search_one

    if tensorboard and attribute is None:
        raise ConfigError("--tensorboard goes with one attribute; name it: graftnet search ATTR --tensorboard.")
    require_one(attribute, everything, features, out, place)
    how: dict[str, Any] = {"seed": seed, "device": device, "force": force, "overrides": overrides}
    if everything:
        from graftnet.fleet import choose_place, failure, fleet_answer, search_all

        accounts = search_all(project, choose_place(place, device), **how)
        answer(*fleet_answer(accounts), as_json=as_json)
        if failed := failure(accounts):
            typer.echo(failed, err=True)
            raise typer.Exit(1)
        return
    if features:
        found = search_file(features, out, folder=project, **how)
    else:
        found = search_one(project, str(attribute), tensorboard=tensorboard, **how)
    answer(*found, as_json=as_json)
