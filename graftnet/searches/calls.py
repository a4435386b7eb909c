"""Call one search or one audit as the command line does: of an attribute or a file of features, with a report."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from foundation.locks import only_one
from foundation.records import read_json, reading
from graftnet.errors import ConfigError
from graftnet.project.config import Config
from graftnet.project.folder import Project, open_project, project_here
from graftnet.project.machine import choose_device
from graftnet.project.overrides import NONE, Overrides, PlaceOptions, open_overridden, overridden
from graftnet.project.settings import seed_or
from graftnet.terminal.output import Answer, announce, if_long, show_progress

QUICK_SEEDS, QUICK_ARCHITECTURES = 2, 10
SHOWN = (
    *("attribute", "kind", "verdict", "advice", "parameters", "parameter_reduction", "macs", "latency_ms", "limits"),
    *("architecture", "val", "test", "seconds"),
)


def require_one(
    attribute: str | None,
    everything: bool,
    features: Path | None,
    out: Path | None,
    where: PlaceOptions,
) -> None:
    """Refuse a call that names no search, or several, or gives options of --all to one.

    Raises:
        ConfigError: not exactly one of ATTR, --all and --features, or an option that goes with another of them.
    """
    if [attribute is not None, everything, features is not None].count(True) != 1:
        raise ConfigError("Name one attribute, or give --all, or --features FILE.npz; see `graftnet search --help`.")
    if out and not features:
        raise ConfigError("--out goes with --features; a project's searches are written under its runs/searches.")
    if where.given and not everything:
        raise ConfigError(f"{where.given[0]} goes with --all; one search runs here, in this process.")


def search_one(
    folder: Path | None,
    attribute: str,
    *,
    seed: int | None,
    device: str,
    force: bool,
    overrides: Overrides = NONE,
    tensorboard: bool = False,
    before: Callable[[], None] | None = None,
) -> Answer:
    """Search one attribute of a project; a current result is returned as it is unless ``force``.

    before: what is done first, such as a race of cuts.
    """
    if before:
        before()
    project = open_overridden(folder, overrides, attribute)
    return search_in(project, attribute, seed=seed, device=device, force=force, tensorboard=tensorboard)


def search_in(
    project: Project,
    attribute: str,
    *,
    seed: int | None,
    device: str,
    force: bool = False,
    tensorboard: bool = False,
) -> Answer:
    """Search one attribute of an open project; ``tensorboard``: its curves as event files in its folder too."""
    project.source(attribute)
    from graftnet.searches.current import Call, recall, remember

    call = Call(attribute, seed_or(seed, project), device)
    if not force and not tensorboard and (current := recall(project, call)):
        return found_in(*current)
    chosen = choose_device(device)
    follower = None
    if tensorboard:
        from nas.tensorboard import Follower

        follower = Follower()
    from graftnet.searches.run import carry_out, plan_search
    from graftnet.searches.standing import standing_of, taken_sentence
    from graftnet.trunks.versions import open_trunk
    from reports import write_report

    trunk = open_trunk(project, chosen)
    with show_progress() as progress:
        plan = plan_search(
            project, trunk, attribute, seed=call.seed, device=chosen, force=force, progress=if_long(progress)
        )
    if force or not plan.finished or plan.advised_otherwise:
        typer.echo(plan.depth_sentence, err=True)
    if (force or not plan.finished) and plan.auto:
        typer.echo(f"{attribute}: {plan.auto}", err=True)
    if not plan.finished and plan.few_sentence:
        typer.echo(plan.few_sentence, err=True)
    if not plan.finished and plan.drawn_sentence:
        typer.echo(plan.drawn_sentence, err=True)
    if sentence := standing_of(plan).sentence(attribute):
        typer.echo(sentence, err=True)
    if not force and (sentence := taken_sentence(plan)):
        typer.echo(sentence, err=True)
    if not plan.finished and plan.shared_sentence:
        typer.echo(plan.shared_sentence, err=True)
    with show_progress() as progress:
        searched = carry_out(
            plan,
            trunk,
            device=chosen,
            progress=progress,
            force=force,
            announce=announce,
            tell=lambda sentence: typer.echo(sentence, err=True),
            observe=follower.observe if follower else None,
        )
    if follower:
        typer.echo(f"Curves: tensorboard --logdir {follower.finish(searched)}", err=True)
    page = write_report(searched)
    remember(project, call, plan, searched, page)
    return found_in(searched, page)


def search_file(
    features: Path,
    out: Path | None,
    *,
    folder: Path | None,
    seed: int | None,
    device: str,
    force: bool,
    overrides: Overrides = NONE,
) -> Answer:
    """Search on a file of features, with the project's settings where there is a project, else the defaults."""
    from graftnet.searches.run import search_features
    from reports import write_report

    project = project_here(folder)
    if idle := [option for option, _, _ in overrides.given("branch", "trunk") if option != "--branch"]:
        raise ConfigError(f"{idle[0]} has no meaning here: features from a file have no backbone; leave it out.")
    config = overrides.applied(project.config if project else Config())
    destination = out or (project.runs / "features" / features.stem if project else Path(f"{features.stem}-search"))
    chosen_seed = config.project.seed if seed is None else seed
    chosen = choose_device(device)
    with show_progress() as progress:
        searched = search_features(
            features,
            destination,
            config,
            seed=chosen_seed,
            device=chosen,
            announce=lambda sentence: typer.echo(sentence, err=True),
            progress=progress,
            force=force,
        )
    return found_in(searched, write_report(searched))


def found_in(folder: Path, report: Path, *, alone: bool = True) -> Answer:
    """A finished search: the main entries of its result.json, where to look, and what to do next.

    alone: it is all that is told; of many, what comes next is said once.
    """
    path = folder / "result.json"
    result = read_json(path)
    with reading(path):
        shown = {key: result[key] for key in SHOWN if key in result}
        start = f"  {result['start']}\n" if "start" in result else ""
        text = f"{result['attribute']}: {result['verdict']}\n{start}  result {folder}\n  report {report}"
        if alone:
            text += f"\nNext: {next_call(result)}"
    return Answer({**shown, "folder": str(folder), "report": str(report)}, text)


def next_call(result: dict[str, Any]) -> str:
    """What to do with a result, as its verdict advises."""
    name = result["attribute"]
    if result.get("fingerprint") is None:
        return "the branch lies beside the result; it has no trunk here to be grafted on"
    action = (result.get("advice") or {}).get("action", "ship")
    graft = f"graftnet graft {shlex.quote(str(name))}"
    return f"label more images of {name}, import them and search again" if action == "label more" else graft


def audit_one(
    folder: Path | None, attribute: str, *, seeds: int, architectures: int, test: bool, device: str
) -> Answer:
    """Audit the newest finished search of an attribute, or continue its audit.

    Raises:
        ConfigError: there is none, or the data, the trunk or the settings have changed since.
    """
    project = open_project(folder)
    project.source(attribute)
    finished = project.results(attribute)
    if not finished:
        raise ConfigError(f"{attribute} has no finished search to audit; run `graftnet search {attribute}` first.")
    searched = finished[-1]
    path = searched / "config.json"
    config = read_json(path)
    from nas.settings import BY_HAND

    with reading(path):
        strategy, seed = str(config["strategy"]), int(config["seed"])
    if strategy == BY_HAND:
        raise ConfigError(f"The branch of {attribute} was chosen by hand ({searched}); there is no search to audit.")
    chosen = choose_device(device)
    from graftnet.searches.run import job_data, plan_search
    from graftnet.searches.warm_start import with_sources
    from graftnet.trunks.versions import open_trunk
    from nas.audit.run import run_audit
    from reports import write_report

    trunk = open_trunk(project, chosen)
    cold = plan_search(overridden(project, Overrides(warm_start=False)), trunk, attribute, seed=seed, device=chosen)
    with reading(path):
        plan = with_sources(cold, config.get("warm_start") or ())
    if plan.folder != searched:
        raise ConfigError(
            f"The data, the trunk, the device or the settings have changed since {attribute} was searched "
            f"({searched}); run `graftnet search {attribute}` again, then audit that."
        )
    with show_progress() as progress, only_one(searched):
        audit = run_audit(
            job_data(plan, trunk, progress=progress),
            plan.settings,
            folder=searched,
            seed=seed,
            device=chosen,
            seeds=seeds,
            architectures=architectures,
            test=test,
            progress=progress,
        )
    return audited(audit, searched, write_report(searched))


def audited(audit: dict[str, Any], folder: Path, report: Path) -> Answer:
    """What audit.json says and the paths; the sentence, what it is made of, and where to look."""
    cost, collapse = audit["cost"], audit["collapse"]
    text = (
        f"{audit['sentence']}\n"
        f"  {collapse['sentence']}\n"
        f"  The search took {cost['search_seconds']:.0f} s of the job's {cost['total_seconds']:.0f} s; the audit "
        f"{cost['audit_trainings']} trainings and {cost['audit_searches']} searches, "
        f"{cost['audit_seconds']:.0f} s.\n"
        f"  record {folder / 'audit.json'}\n  report {report}\n"
        f"Next: graftnet graft {shlex.quote(folder.parent.name)}"
    )
    return Answer({**audit, "folder": str(folder), "report": str(report)}, text)
