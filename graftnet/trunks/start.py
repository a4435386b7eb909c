"""Start of a trunk's training: published weights where there are any, those in use, or random ones.

``[trunk] start`` says it; ``""`` goes on with what the project has: the weights that `graftnet trunk use` brought, or
what the trunk in use was itself trained from, so that training it again on more attributes begins at the same place.
"""

from pathlib import Path
from typing import Any, NamedTuple

from foundation.records import read_record
from graftnet.errors import ConfigError
from graftnet.project.folder import Project
from graftnet.trunks.bring import bring
from graftnet.trunks.served import choose_version
from trunk.records import TrunkShape
from trunk.trunk import Trunk

RANDOM = "random"


class Start(NamedTuple):
    """A version of the project's trunks whose weights a training begins from, and why it is this one, in words."""

    folder: Path
    why: str

    def load(self) -> Trunk:
        """Raises: TrunkError: its files are not whole."""
        return Trunk.load(self.folder)


def start_of(project: Project) -> Start | None:
    """The start that ``[trunk] start`` means; None for random weights.

    Weights that are not a version of this project yet become one.

    Raises:
        ConfigError: there is no such version or file. TrunkError: weights that cannot be had, or do not fit.
    """
    asked = project.config.trunk.start
    if asked == RANDOM:
        return None
    if asked:
        why = f"trunk.start is {asked!r}"
        if is_version(project, asked):
            return Start(project.trunks / choose_version(project, asked), why)
        return Start(bring(project, named(project, asked)), why)
    if project.current:
        return start_of_current(project)
    if weights := project.config.trunk.weights:
        return Start(bring(project, named(project, weights)), "trunk.weights names it")
    if source := best_here(project):
        return Start(bring(project, source), "these published weights can be had here")
    return None


def start_of_current(project: Project) -> Start | None:
    """The trunk in use where it was brought, else what it was trained from."""
    record = trunk_record(project.current_trunk)
    if "settings" not in record:
        return Start(project.current_trunk, "it is the trunk in use")
    origin: dict[str, Any] | None = record.get("start")
    if origin is None:
        return None
    folder = project.trunks / str(origin["version"])
    if not (folder / "trunk.json").exists():
        raise ConfigError(
            f"The trunk in use was trained from trunk {origin['version']}, which is not in {project.trunks} any more; "
            f"restore it, or set trunk.start."
        )
    return Start(folder, "the trunk in use was trained from it")


def named(project: Project, source: str) -> str:
    """A source as graftnet.toml names it, where paths count from the project's folder."""
    here = project.folder / source
    return str(here) if here.exists() else source


def is_version(project: Project, name: str) -> bool:
    """Whether a name is, or begins, that of a version the project has."""
    return any(path.parent.name.startswith(name) for path in project.trunks.glob("*/trunk.json"))


def trunk_record(folder: Path) -> dict[str, Any]:
    """`trunk.json` of a version."""
    return read_record(folder / "trunk.json", TrunkShape)


def best_here(project: Project) -> str | None:
    """The best published weights of the backbone that need no download, as `graftnet trunk use` names them."""
    from trunk.sources import available

    source = available(project.config.trunk.backbone)
    return source.call if source else None
