"""graftnet cache, search and audit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from graftnet.commands.options import SEARCH, USE, Device, Folder, Json, Rehash, Seed, spread
from graftnet.project.overrides import HERE, NONE, Overrides, PlaceOptions, with_preset
from graftnet.terminal.output import answer

commands = typer.Typer()


@commands.command("cache", rich_help_panel=SEARCH)
def cache(
    attributes: Annotated[list[str] | None, typer.Argument(metavar="ATTR...", help="Default: all of them.")] = None,
    project: Folder = None,
    device: Device = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it takes, in bytes and seconds, and do nothing.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all that is cached against its checksums; then go on.")
    ] = False,
    rehash: Rehash = False,
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
      graftnet cache --verify
    """
    from graftnet.project.folder import open_project
    from graftnet.project.machine import choose_device
    from graftnet.searches.features import verified_cache
    from graftnet.searches.run import cache_features, estimate_features
    from graftnet.terminal.output import announce, show_progress
    from graftnet.trunks.versions import open_trunk

    home = open_project(project)
    names = [name for name in attributes or home.sources() if home.source(name)]
    if rehash:
        home.memory.forget()
    chosen = choose_device(device)
    if verify:
        typer.echo(verified_cache(home, open_trunk(home, chosen)), err=True)
    if dry_run:
        estimate = estimate_features(home, names, device=chosen)
        answer(estimate.record(), estimate.sentence(), as_json=as_json)
        return
    with show_progress() as progress:
        record = cache_features(home, names, device=chosen, announce=announce, progress=progress)
    lines = [f"{key}: {value}" for key, value in record.items()]
    answer(record, "\n".join(lines) or "Nothing to do.", as_json=as_json)


@commands.command("search", rich_help_panel=SEARCH)
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
        Path | None, typer.Option(metavar="DIR", help="With --features: where the search is written.")
    ] = None,
    overrides: Overrides = NONE,
    quick: Annotated[bool, typer.Option("--quick", help="A first look: fewer epochs and trainings, no tail.")] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="More epochs, candidates and repeats; a race of finalists.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Search again even where a current result exists.")] = False,
    where: PlaceOptions = HERE,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="With ATTR: the search's curves as TensorBoard event files too.")
    ] = False,
    rehash: Rehash = False,
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
      graftnet search bald --quick
      graftnet search bald --minutes 10 --strategy auto
      graftnet search bald --strategy nni-evolution
      graftnet search bald --max-parameters 50000 --max-latency 0.5
      graftnet search bald --branch tail --freeze-depth 6 --blocks 8 --pooling bilinear
      graftnet search --features feats.npz --out searches/mine

    Settings: the \\[search], \\[retrain] and \\[controls] tables of
    graftnet.toml. After Ctrl-C or kill call it again: it continues.
    """
    from graftnet.errors import ConfigError
    from graftnet.searches.calls import require_one, search_file, search_one

    if tensorboard and attribute is None:
        raise ConfigError("--tensorboard goes with one attribute; name it: graftnet search ATTR --tensorboard.")
    require_one(attribute, everything, features, out, where)
    if rehash:
        from graftnet.project.folder import open_project

        open_project(project).memory.forget()
    overrides = with_preset(overrides, quick=quick, thorough=thorough)
    how: dict[str, Any] = {"seed": seed, "device": device, "force": force, "overrides": overrides}

    def race(names: Sequence[str]) -> None:
        from graftnet.studies.cuts import race_first

        race_first(project, names, seed=seed, device=device, overrides=overrides)

    if everything:
        from graftnet.searches.search_all import choose_place, failure, fleet_answer, search_all

        place = choose_place(where, device)
        race(())
        accounts = search_all(project, place, **how)
        answer(*fleet_answer(accounts), as_json=as_json)
        if failed := failure(accounts):
            typer.echo(failed, err=True)
            raise typer.Exit(1)
        return
    if features:
        outcome = search_file(features, out, folder=project, **how)
    else:
        name = str(attribute)
        outcome = search_one(project, name, tensorboard=tensorboard, before=lambda: race([name]), **how)
    answer(*outcome, as_json=as_json)


@commands.command("audit", rich_help_panel=USE)
def audit(
    attribute: Annotated[str, typer.Argument(metavar="ATTR", help="An attribute with a finished search.")],
    seeds: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Whole searches compared with random search. Default: 3.")
    ] = None,
    architectures: Annotated[
        int | None, typer.Option(min=3, metavar="M", help="Retrained twice for the ranking. Default: 24.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="2 seeds and 10 architectures: a first look.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Measure the chosen ones on test too.")] = False,
    project: Folder = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Say whether the search is worth it on your data.

    Do the shared weights rank as retraining does (Kendall's tau, beside its
    ceiling)? What does the search gain over random search at equal budget and
    at equal cost? Has the controller collapsed? What did it cost? The answer
    is a sentence, audit.json in the search's folder, and a section of the
    report.

    \b
    Examples:
      graftnet audit bald --quick
      graftnet audit bald --seeds 5 --architectures 48

    It costs some dozen trainings and further searches. After Ctrl-C or kill
    call it again: it continues; with more seeds it adds what is missing.
    """
    from graftnet.searches.calls import QUICK_ARCHITECTURES, QUICK_SEEDS, audit_one

    outcome = audit_one(
        project,
        attribute,
        seeds=seeds or (QUICK_SEEDS if quick else 3),
        architectures=architectures or (QUICK_ARCHITECTURES if quick else 24),
        test=test,
        device=device,
    )
    answer(*outcome, as_json=as_json)
