"""graftnet cache and graftnet search."""

from pathlib import Path
from typing import Annotated, Any

import typer

from graftnet.answer import answer
from graftnet.options import Device, Folder, Json, Seed


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
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="How it is searched: enas, controller, random, local, nni-random, nni-evolution or nni-darts.",
        ),
    ] = None,
    max_parameters: Annotated[
        float | None, typer.Option("--max-parameters", metavar="N", help="No branch with more is considered.")
    ] = None,
    max_macs: Annotated[
        float | None, typer.Option("--max-macs", metavar="N", help="Likewise, multiply-accumulates per image.")
    ] = None,
    max_latency: Annotated[
        float | None, typer.Option("--max-latency", metavar="MS", help="Likewise, milliseconds on this device.")
    ] = None,
    branch: Annotated[
        str | None,
        typer.Option(
            "--branch",
            metavar="KIND",
            help="searched, or tail: the backbone's own next blocks, fine-tuned; nothing is searched.",
        ),
    ] = None,
    blocks: Annotated[
        int | None,
        typer.Option("--blocks", min=1, metavar="N", help="Of a tail: it ends after the backbone's first N blocks."),
    ] = None,
    pooling: Annotated[
        str | None, typer.Option("--pooling", metavar="NAME", help="Of a tail: average or bilinear.")
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", min=1, metavar="N", help="Of a tail: channels before bilinear pooling.")
    ] = None,
    freeze_depth: Annotated[
        int | None,
        typer.Option("--freeze-depth", min=1, metavar="N", help="Blocks of the trunk that this branch reads."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Search again even where a current result exists.")] = False,
    warm_start: Annotated[
        bool | None,
        typer.Option(
            "--warm-start/--cold-start", help="From what earlier attributes learned. Default: search.warm_start."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, metavar="N", help="With --all: N attributes at a time. Default: 1."),
    ] = None,
    on: Annotated[
        str, typer.Option("--on", metavar="PLACE", help="With --all: here, or ray for a Ray cluster.")
    ] = "here",
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="ADDR", help="With --on ray: the cluster. Default: one of this machine."),
    ] = None,
    cpus: Annotated[
        float | None,
        typer.Option("--cpus", min=0, metavar="N", help="With --on ray: CPUs for each attribute. Default: 1."),
    ] = None,
    gpus: Annotated[
        float | None,
        typer.Option("--gpus", min=0, metavar="N", help="With --on ray: GPUs for each. Default: 1 if there are any."),
    ] = None,
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
    from graftnet.overrides import Overrides
    from graftnet.searching import require_one, search_file, search_one

    if tensorboard and attribute is None:
        raise ConfigError("--tensorboard goes with one attribute; name it: graftnet search ATTR --tensorboard.")
    fleet_options = {"--workers": workers, "--on": on if on != "here" else None, "--address": address}
    require_one(attribute, everything, features, out, {**fleet_options, "--cpus": cpus, "--gpus": gpus})
    limits = (max_parameters, max_macs, max_latency)
    overrides = Overrides(strategy, *limits, warm_start, branch, blocks, pooling, width, freeze_depth)
    how: dict[str, Any] = {"seed": seed, "device": device, "force": force, "overrides": overrides}
    if everything:
        from graftnet.fleet import choose_place, search_all

        place = choose_place(on, workers=workers, address=address, cpus=cpus, gpus=gpus, device=device)
        fleet = search_all(project, place, **how)
        answer(fleet.record(), fleet.text(), as_json=as_json)
        if fleet.failed:
            typer.echo(fleet.failure(), err=True)
            raise typer.Exit(1)
        return
    if features:
        found = search_file(features, out, folder=project, **how)
    else:
        found = search_one(project, str(attribute), tensorboard=tensorboard, **how)
    answer(found.record(), found.text(), as_json=as_json)
