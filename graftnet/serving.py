"""What a project serves: a version of the trunk and the tree that was grown on it, changed together or not at all.

``runs/trunk/current.json`` names both, and those before them: ``{"version", "tree", "before": [{"version", "tree"}]}``.
It is replaced by one rename, so that a reader sees the old pair or the new one. A file without ``tree`` means
``runs/tree``, where projects that never switched have it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from foundation.files import write_json
from foundation.folders import file_hashes
from foundation.locks import only_one
from graftnet.errors import ConfigError
from graftnet.project import TREE, Project

PATIENCE = 60.0  # seconds that a graft waits for another one, or for the end of a switch


class Served(NamedTuple):
    """A version of the trunk, and where its tree is, counted from runs/."""

    version: str
    tree: str = TREE


def served(project: Project) -> Served:
    """What is served now, read at one moment.

    Raises:
        ConfigError: the project has no trunk yet.
    """
    current = project.current
    if "version" not in current:
        raise ConfigError(f"{project.folder} has no trunk yet; train one with `graftnet trunk train`.")
    return Served(str(current["version"]), str(current.get("tree", TREE)))


def history(project: Project) -> list[Served]:
    """What was served before, oldest first."""
    return [Served(str(one["version"]), str(one["tree"])) for one in project.current.get("before", [])]


def serve(project: Project, new: Served) -> None:
    """Serve this from now on; what was served is kept for :func:`roll_back`."""
    now = served(project)
    (project.runs / now.tree).mkdir(parents=True, exist_ok=True)  # where nothing was grafted: else it seems gone
    write(project, new, [*history(project), now])


def roll_back(project: Project) -> tuple[Served, Served]:
    """Serve what was served before the last switch.

    Returns:
        What was served, and what is served now.

    Raises:
        ConfigError: nothing was served before, or it is gone.
    """
    with holding_tree(project):
        before, now = history(project), served(project)
        if not before:
            raise ConfigError(f"{project.folder} never switched its trunk, so there is nothing to go back to.")
        last = before[-1]
        for part in (project.trunks / last.version / "trunk.json", project.runs / last.tree):
            if not part.exists():
                raise ConfigError(f"{part} is gone, so trunk {last.version} cannot be served again; restore it.")
        write(project, last, before[:-1])
    return now, last


def write(project: Project, new: Served, before: list[Served]) -> None:
    """Replace the file that says what is served."""
    record = {**new._asdict(), "before": [one._asdict() for one in before]}
    write_json(project.current_trunk_file, record)


def grafted(tree: Path) -> dict[str, Path]:
    """Attribute -> its branch's folder, in alphabetical order."""
    return {path.parent.name: path.parent for path in sorted(tree.glob("[!.]*/branch.json"))}


def contents(tree: Path) -> dict[str, dict[str, str]]:
    """Attribute -> SHA-256 of each of its files: what tells two trees apart."""
    return {name: file_hashes(folder) for name, folder in grafted(tree).items()}


@contextmanager
def holding_tree(project: Project) -> Iterator[None]:
    """No other process grafts or switches while the block runs."""
    with only_one(project.runs / TREE, patience=PATIENCE):
        yield
