"""Which versions of the trunk a project has, and whether it is time to train another."""

from typing import Any

from foundation.files import read_json
from graftnet.errors import ConfigError
from graftnet.project import Project
from graftnet.serving import grafted, history, served
from trunk.pretrain_settings import Policy, advise


def versions(project: Project) -> list[dict[str, Any]]:
    """What is told of each whole version, oldest first; one whose training has not ended is none yet."""
    found = []
    for path in project.trunks.glob("*/trunk.json"):
        record = read_json(path)
        found.append(
            {
                "version": path.parent.name,
                "created": str(record.get("created", "")),
                "backbone": record.get("backbone"),
                "source": record.get("source"),
                "attributes": record.get("attributes", []),
                "fingerprint": record.get("fingerprint"),
            }
        )
    return sorted(found, key=lambda one: (one["created"], one["version"]))


def choose_version(project: Project, name: str | None) -> str:
    """The version that is meant: by name, by the beginning of it, or the newest that is not in use.

    Raises:
        ConfigError: there is none, or several begin so.
    """
    now = served(project).version
    known = [str(one["version"]) for one in versions(project)]
    if name is None:
        others = [version for version in known if version != now]
        if not others:
            raise ConfigError(f"{project.trunks} has no version but {now}; train another with `graftnet trunk train`.")
        return others[-1]
    found = [version for version in known if version == name] or [one for one in known if one.startswith(name)]
    if len(found) != 1:
        what = "several versions that begin with" if found else "no version"
        raise ConfigError(f"{project.trunks} has {what} {name!r}; there are {', '.join(known)}.")
    return found[0]


def trunk_status(project: Project) -> dict[str, Any]:
    """The version in use, the attributes it has learnt from and those it has not, the advice, and all versions.

    Raises:
        ConfigError: the project has no trunk yet. TrunkError: the policy's settings do not go together.
    """
    table = project.config.trunk
    now = project.current_trunk.name
    every = versions(project)
    learnt: list[str] = next((one["attributes"] for one in every if one["version"] == now), [])
    advice = advise(learnt, project.questions(), Policy(table.retrain_due, table.retrain_overdue))
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
    for one in record["versions"]:
        mark = "in use" if one["version"] == record["version"] else ""
        mark = "before the last switch" if not mark and one["version"] == record["rollback"] else mark
        learnt = f"{len(one['attributes'])} attributes" if one["attributes"] else "attributes unknown"
        lines.append(
            f"  {one['version']}  {one['created']}  {one['backbone']}, {one['source']}, {learnt}  {mark}".rstrip()
        )
    lines = ["Versions of the trunk:", *lines, record["sentence"]]
    if record["left_out"]:
        lines.append(f"trunk.attributes in graftnet.toml leaves out {', '.join(record['left_out'])}; add them first.")
    if record["advice"] != "wait":
        lines.append("Next: graftnet trunk train, then graftnet trunk switch")
    return lines
