"""One search as the command line runs it: an attribute, or a file of features; it ends in a report."""

from pathlib import Path

import typer

from foundation.files import read_json
from graftnet.answer import Answer
from graftnet.config import Config
from graftnet.devices import choose_device
from graftnet.errors import ConfigError
from graftnet.overrides import NONE, Overrides, PlaceOptions, open_overridden
from graftnet.progress import announce, show_progress
from graftnet.project import Project, project_here
from graftnet.settings import seed_or

SHOWN = (
    *("attribute", "verdict", "parameters", "parameter_reduction", "macs", "latency_ms", "limits"),
    *("architecture", "val", "test", "seconds"),
)


def found_in(folder: Path, report: Path) -> Answer:
    """A finished search: the main entries of its result.json, and where to look."""
    result = read_json(folder / "result.json")
    shown = {key: result[key] for key in SHOWN if key in result}
    start = f"  {result['start']}\n" if "start" in result else ""
    text = f"{result['attribute']}: {result['verdict']}\n{start}  result {folder}\n  report {report}"
    return Answer({**shown, "folder": str(folder), "report": str(report)}, text)


def require_one(
    attribute: str | None,
    everything: bool,
    features: Path | None,
    out: Path | None,
    place: PlaceOptions,
) -> None:
    """Refuse a call that names no search, or several, or gives options of --all to one.

    Raises:
        ConfigError: not exactly one of ATTR, --all and --features, or an option that goes with another of them.
    """
    if [attribute is not None, everything, features is not None].count(True) != 1:
        raise ConfigError("Name one attribute, or give --all, or --features FILE.npz; see `graftnet search --help`.")
    if out and not features:
        raise ConfigError("--out goes with --features; a project's searches are written under its runs/searches.")
    if place.given and not everything:
        raise ConfigError(f"{place.given[0]} goes with --all; one search runs here, in this process.")


def search_one(
    folder: Path | None,
    attribute: str,
    *,
    seed: int | None,
    device: str,
    force: bool,
    overrides: Overrides = NONE,
    tensorboard: bool = False,
) -> Answer:
    """Search one attribute of a project; a current result is returned as it is unless ``force``."""
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
    chosen = choose_device(device)
    follower = None
    if tensorboard:
        from graftnet.scalars import Follower

        follower = Follower()
    from graftnet.pipeline import carry_out, plan_search
    from graftnet.standing import standing_of
    from graftnet.trunks import open_trunk
    from reports import write_report

    trunk = open_trunk(project, chosen)
    plan = plan_search(project, trunk, attribute, seed=seed_or(seed, project), device=chosen)
    if sentence := standing_of(plan).sentence(attribute):
        typer.echo(sentence, err=True)
    with show_progress() as progress:
        found = carry_out(
            plan,
            trunk,
            device=chosen,
            progress=progress,
            force=force,
            announce=announce,
            observe=follower.observe if follower else None,
        )
    if follower:
        typer.echo(f"Curves: tensorboard --logdir {follower.finish(found)}", err=True)
    return found_in(found, write_report(found))


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
    from graftnet.pipeline import search_features
    from reports import write_report

    project = project_here(folder)
    if idle := [option for option, _, _ in overrides.given("branch", "trunk") if option != "--branch"]:
        raise ConfigError(f"{idle[0]} has no meaning here: features from a file have no backbone; leave it out.")
    config = overrides.applied(project.config if project else Config())
    destination = out or (project.runs / "features" / features.stem if project else Path(f"{features.stem}-search"))
    chosen_seed = config.project.seed if seed is None else seed
    chosen = choose_device(device)
    with show_progress() as progress:
        found = search_features(
            features, destination, config, seed=chosen_seed, device=chosen, progress=progress, force=force
        )
    return found_in(found, write_report(found))
