"""Searches as the command line runs them: one attribute, all of them, or a file of features; each ends in a report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftnet.config import CONFIG_NAME, Config
from graftnet.devices import choose_device
from graftnet.errors import ConfigError
from graftnet.failures import is_user_error
from graftnet.progress import show_progress
from graftnet.project import Project, open_project
from graftnet.settings import seed_or

SHOWN = ("attribute", "verdict", "parameters", "parameter_reduction", "macs", "architecture", "val", "test", "seconds")


@dataclass(frozen=True)
class Found:
    """A finished search: its folder with result.json, and its report."""

    folder: Path
    report: Path

    def result(self) -> dict[str, Any]:
        """What result.json says."""
        value: dict[str, Any] = json.loads((self.folder / "result.json").read_text(encoding="utf-8"))
        return value

    def record(self) -> dict[str, Any]:
        """The main entries of result.json, and the paths."""
        result = self.result()
        shown = {key: result[key] for key in SHOWN if key in result}
        return {**shown, "folder": str(self.folder), "report": str(self.report)}

    def text(self) -> str:
        """The verdict and where to look."""
        result = self.result()
        start = f"  {result['start']}\n" if "start" in result else ""
        return f"{result['attribute']}: {result['verdict']}\n{start}  result {self.folder}\n  report {self.report}"


def require_one(attribute: str | None, everything: bool, features: Path | None, out: Path | None) -> None:
    """Refuse a call that names no search, or several.

    Raises:
        ConfigError: not exactly one of ATTR, --all and --features.
    """
    if [attribute is not None, everything, features is not None].count(True) != 1:
        raise ConfigError("Name one attribute, or give --all, or --features FILE.npz; see `graftnet search --help`.")
    if out and not features:
        raise ConfigError("--out goes with --features; a project's searches are written under its runs/searches.")


def search_one(
    folder: Path | None,
    attribute: str,
    *,
    seed: int | None,
    device: str,
    force: bool,
    warm_start: bool | None = None,
) -> Found:
    """Search one attribute of a project; a current result is returned as it is unless ``force``."""
    from graftnet.warming import with_warm_start

    project = with_warm_start(open_project(folder), warm_start)
    return search_in(project, attribute, seed=seed, device=device, force=force)


def search_in(project: Project, attribute: str, *, seed: int | None, device: str, force: bool = False) -> Found:
    """Search one attribute of an open project."""
    project.source(attribute)
    chosen = choose_device(device)
    from graftnet.pipeline import search_attribute
    from reports import write_report

    with show_progress() as progress:
        found = search_attribute(
            project, attribute, seed=seed_or(seed, project), device=chosen, progress=progress, force=force
        )
    return Found(found, write_report(found))


def search_all(
    folder: Path | None, *, seed: int | None, device: str, force: bool, warm_start: bool | None = None
) -> list[Found]:
    """Search every attribute; one attribute's bad data does not keep the others from being searched.

    Raises:
        ConfigError: at the end, naming the attributes that could not be searched and why.
    """
    from graftnet.warming import with_warm_start

    project = with_warm_start(open_project(folder), warm_start)
    sources = project.sources()
    if not sources:
        raise ConfigError(f"{project.data} has no sub-dataset; bring one in with `graftnet data import`.")
    found: list[Found] = []
    failed: list[str] = []
    for attribute in sources:
        try:
            found.append(search_in(project, attribute, seed=seed, device=device, force=force))
        except Exception as error:
            if not is_user_error(error):
                raise
            failed.append(f"{attribute}: {error}")
    if failed:
        raise ConfigError(
            f"{len(found)} of {len(sources)} attributes are searched; the others failed: {' '.join(failed)}"
        )
    return found


def search_file(
    features: Path, out: Path | None, *, folder: Path | None, seed: int | None, device: str, force: bool
) -> Found:
    """Search on a file of features, with the project's settings where there is a project, else the defaults."""
    from graftnet.pipeline import search_features
    from reports import write_report

    here = Path.cwd()
    has_project = folder or any((parent / CONFIG_NAME).is_file() for parent in (here, *here.parents))
    project = open_project(folder) if has_project else None
    config = project.config if project else Config()
    destination = out or (project.runs / "features" / features.stem if project else Path(f"{features.stem}-search"))
    chosen_seed = config.project.seed if seed is None else seed
    chosen = choose_device(device)
    with show_progress() as progress:
        found = search_features(
            features, destination, config, seed=chosen_seed, device=chosen, progress=progress, force=force
        )
    return Found(found, write_report(found))
