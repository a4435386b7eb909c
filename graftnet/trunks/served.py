"""State of what a project serves: a trunk version and the tree grown on it, changed together or not at all.

``runs/trunk/current.json`` names both, and those before them: ``{"version", "tree", "before": [{"version", "tree"}]}``.
It is replaced by one rename, so that a reader sees the old pair or the new one. A file without ``tree`` means
``runs/tree``, where projects that never switched have it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from foundation.files import write_json
from foundation.folders import file_hashes
from foundation.locks import only_one, sweep
from foundation.records import read_record
from graftnet.errors import ConfigError
from graftnet.project.folder import TREE, Project
from trunk.pretraining.settings import Policy, advise
from trunk.records import TrunkShape

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
    return [Served(str(pair["version"]), str(pair["tree"])) for pair in project.current.get("before", [])]


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
    record = {**new._asdict(), "before": [pair._asdict() for pair in before]}
    write_json(project.current_trunk_file, record)


def grafted(tree: Path) -> dict[str, Path]:
    """Attribute -> its branch's folder, in alphabetical order."""
    return {path.parent.name: path.parent for path in sorted(tree.glob("[!.]*/branch.json"))}


def require_own(folder: Path, told: str, attribute: str) -> None:
    """Refuse a branch whose record names another attribute than its place: it answers another question.

    Raises:
        ConfigError: it does.
    """
    if told != attribute:
        raise ConfigError(
            f"{folder} holds a branch of {told!r}, where that of {attribute} belongs; put the right one there, or "
            f"search {attribute} again."
        )


def contents(tree: Path) -> dict[str, dict[str, str]]:
    """Attribute -> SHA-256 of each of its files: what tells two trees apart."""
    return {name: file_hashes(folder) for name, folder in grafted(tree).items()}


@contextmanager
def holding_tree(project: Project) -> Iterator[None]:
    """No other process grafts or switches while the block runs."""
    with only_one(project.runs / TREE, patience=PATIENCE):
        sweep(project.trunks, deep=False)
        yield


def versions(project: Project) -> list[dict[str, Any]]:
    """What is told of each whole version, oldest first; one whose training has not ended is none yet."""
    rows = []
    for path in project.trunks.glob("*/trunk.json"):
        record = read_record(path, TrunkShape)
        rows.append(
            {
                "version": path.parent.name,
                "created": str(record.get("created", "")),
                "backbone": record.get("backbone"),
                "source": record.get("source"),
                "attributes": record.get("attributes", []),
                "start": record.get("start"),
                "trained": "settings" in record,
                "fingerprint": record.get("fingerprint"),
            }
        )
    return sorted(rows, key=lambda row: (row["created"], row["version"]))


def choose_version(project: Project, name: str | None) -> str:
    """The version that is meant: by name, by the beginning of it, or the newest that is not in use.

    Raises:
        ConfigError: there is none, or several begin so.
    """
    known = [str(row["version"]) for row in versions(project)]
    if name is None:
        now = served(project).version
        others = [version for version in known if version != now]
        if not others:
            raise ConfigError(f"{project.trunks} has no version but {now}; train another with `graftnet trunk train`.")
        return others[-1]
    matches = [name] if name in known else [version for version in known if version.startswith(name)]
    if len(matches) != 1:
        what = "several versions that begin with" if matches else "no version"
        raise ConfigError(f"{project.trunks} has {what} {name!r}; there are {', '.join(known)}.")
    return matches[0]


def trunk_status(project: Project) -> dict[str, Any]:
    """The version in use, the attributes it has learnt from and those it has not, the advice, and all versions.

    Raises:
        ConfigError: the project has no trunk yet. TrunkError: the policy's settings do not go together.
    """
    table = project.config.trunk
    now = project.current_trunk.name
    every = versions(project)
    learnt: list[str] = next((row["attributes"] for row in every if row["version"] == now), [])
    policy = Policy(table.retrain_due, table.retrain_overdue)
    trained: bool = next((row["trained"] for row in every if row["version"] == now), True)
    advice = advise(learnt, project.questions(), policy, trained=trained)
    before = history(project)
    return {
        "version": now,
        "learnt": learnt,
        "added": list(advice.added),
        "advice": advice.state,
        "sentence": advice.sentence,
        "left_out": [name for name in advice.added if table.attributes and name not in table.attributes],
        "grafted": list(grafted(project.tree)),
        "rollback": before[-1].version if before else None,
        "versions": every,
    }


def status_lines(record: dict[str, Any]) -> list[str]:
    """The status for a person."""
    lines = []
    for row in record["versions"]:
        mark = "in use" if row["version"] == record["version"] else ""
        mark = "before the last switch" if not mark and row["version"] == record["rollback"] else mark
        learnt = f"{len(row['attributes'])} attributes" if row["attributes"] else "attributes unknown"
        lines.append(
            f"  {row['version']}  {row['created']}  {row['backbone']}, {row['source']}, {learnt}  {mark}".rstrip()
        )
    lines = ["Versions of the trunk:", *lines, record["sentence"]]
    if record["left_out"]:
        lines.append(f"trunk.attributes in graftnet.toml leaves out {', '.join(record['left_out'])}; add them first.")
    if record["advice"] == "tune":
        lines.append("Next: graftnet trunk train   (it begins from these weights), then graftnet trunk switch")
    elif record["advice"] != "wait":
        lines.append("Next: graftnet trunk train, then graftnet trunk switch")
    return lines
