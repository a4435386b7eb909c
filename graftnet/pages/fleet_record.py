"""Record of a project's attributes, ``fleet.json``, that the page over all of them is made from.

Freshness (which needs the data), what the trunk costs (which needs the trunk), its versions, what is grafted, and where
each search lies. Paths count from the record's folder, so that runs/ may be copied elsewhere whole.
"""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from branches.costs.trunk import costs_at, how_timed
from foundation.errors import RecordError
from foundation.files import read_json_if_whole, write_json
from foundation.history import Progress
from foundation.provenance import machine, timestamp
from graftnet.bundles.tree import newest_on
from graftnet.errors import ConfigError
from graftnet.project.folder import Project, by_age
from graftnet.project.settings import depth_of, seed_or
from graftnet.searches.queue import plan_job
from graftnet.searches.standing import changes_since, standing_of
from graftnet.trunks.advice import chosen_depth, probes_on, shared_advice
from graftnet.trunks.served import grafted, trunk_status
from graftnet.trunks.versions import open_trunk
from trunk.errors import TrunkError
from trunk.trunk import Trunk

FLEET = "fleet.json"
DEVICES = ("cpu", "cuda", "mps")
LINKED = {"label_graph": ("label graph", "result.json"), "studies": ("study", "study.json")}  # of runs/: kind, record


def write_fleet_record(project: Project, *, check: bool = True, progress: Progress | None = None) -> Path:
    """Gather the facts and write them to ``runs/reports/fleet.json``.

    check: whether to read the data to see which results are still current; off, that is left open.

    Raises:
        ConfigError: an attribute has two sub-datasets.
    """
    device = torch.device("cpu")
    trunk, problem = trunk_of(project, device)
    grown = grafted(project.tree)
    hashes: dict[Path, str] = {}
    attributes = []
    names = sorted({*project.sources(), *searched(project)})
    for number, name in enumerate(names):
        if progress and check:
            progress("checking", number, len(names), {})
        search = project.latest(name)
        known: dict[str, Any] = {
            "attribute": name,
            "search": None if search is None else relative(project, search),
            "grafted": name in grown,
        }
        if check:
            known.update(freshness(project, trunk, problem, name, hashes))
        else:
            known.update(state=unchecked(search), reasons=[])
        attributes.append(known)
    record = {
        "project": project.config.project.name,
        "created": timestamp(),
        "machine": machine(device),
        "attributes": attributes,
        "trunk": {} if trunk is None else trunk_record(project, trunk),
        "links": links(project),
    }
    destination = project.reports / FLEET
    write_json(destination, record)
    return destination


def trunk_of(project: Project, device: torch.device) -> tuple[Trunk | None, str]:
    """The trunk in use, or why there is none."""
    try:
        return open_trunk(project, device), ""
    except (ConfigError, TrunkError) as error:
        return None, str(error)


def searched(project: Project) -> list[str]:
    """The attributes with a search, whether or not their sub-dataset is still there."""
    return [path.name for path in project.searches("").glob("*") if project.latest(path.name)]


def freshness(
    project: Project, trunk: Trunk | None, problem: str, attribute: str, hashes: dict[Path, str]
) -> dict[str, Any]:
    """``state`` and ``reasons`` of one attribute, asked with the seed and the device that its newest result had."""
    if attribute not in project.sources():
        return {"state": "failed", "reasons": ["its sub-dataset is gone"]}
    if trunk is None:
        return {"state": "failed", "reasons": [problem]}
    asked = asked_with(project, attribute)
    job = plan_job(
        project,
        trunk,
        attribute,
        seed=seed_or(asked.get("seed"), project),
        device=torch.device(str(asked.get("device", "cpu"))),
        hashes=hashes,
    )
    if job.error or job.plan is None:
        return {"state": "failed", "reasons": [job.error or ""]}
    standing = standing_of(job.plan)
    return {"state": standing.state, "reasons": list(standing.reasons)}


def not_current(project: Project, attribute: str) -> str:
    """The sentence where the result that is grafted answers something else than is asked now; empty where it does not.

    It is grafted all the same: whoever asks for it knows what it is.
    """
    trunk = open_trunk(project, torch.device("cpu"))
    folder = newest_on(project, attribute, trunk.fingerprint) or project.latest_search(attribute)
    asked = read_json_if_whole(folder / "config.json")
    seed, device = asked.get("seed"), asked.get("device")
    job = plan_job(
        project,
        trunk,
        attribute,
        seed=seed_or(seed if isinstance(seed, int) else None, project),
        device=torch.device(device if device in DEVICES else "cpu"),
        hashes={},
    )
    if job.plan is None:
        return f"Whether the result of {attribute} is current cannot be told: {job.error}"
    if job.plan.folder == folder:
        return ""
    why = "; ".join(changes_since(folder, job.plan.identity))
    return (
        f"The result of {attribute} that was grafted ({folder.name}) is not current{f' ({why})' if why else ''}; run "
        f"`graftnet search {attribute}`, and graft again, for one that is."
    )


def asked_with(project: Project, attribute: str) -> Mapping[str, Any]:
    """The settings of the newest finished search; empty where there is none that can be read."""
    results = project.results(attribute)
    return read_json_if_whole(results[-1] / "config.json") if results else {}


def unchecked(search: Path | None) -> str:
    """The state of an attribute whose data is not read."""
    if search is None:
        return "missing"
    return "unchecked" if (search / "result.json").exists() else "unfinished"


def trunk_record(project: Project, trunk: Trunk) -> dict[str, Any]:
    """Name, versions and advice, and what the trunk costs down to each depth that a result of it reads.

    It is timed with the threads that the branches were timed with; not where they were timed on an accelerator.
    """
    status = trunk_status(project)
    probes = probes_of(project, trunk)
    depths = {chosen_depth(project, trunk.fingerprint).depth if probes else depth_of(project.config)}
    threads: Counter[int] = Counter()
    for name in searched(project):
        result = read_json_if_whole(project.latest_search(name) / "result.json")
        if result.get("fingerprint") == trunk.fingerprint and result.get("freeze_depth"):
            depths.add(int(result["freeze_depth"]))
            latency = result.get("latency") or {}
            if latency.get("device") == "cpu":
                threads[int(latency["threads"])] += 1
    usual = threads.most_common(1)[0][0] if threads else None
    return {
        **{key: status[key] for key in ("version", "sentence", "advice", "rollback", "versions")},
        "backbone": trunk.backbone,
        "fingerprint": trunk.fingerprint,
        "costs": {str(depth): costs_at(trunk, depth, usual) for depth in sorted(depths)},
        "timed": None if usual is None else how_timed(usual),
        **({"probe": shared_advice(probes)} if probes else {}),
    }


def probes_of(project: Project, trunk: Trunk) -> dict[str, dict[str, Any]]:
    """The probes of the trunk; none where one is damaged, which whoever plans by it is told."""
    try:
        return probes_on(project, trunk.fingerprint)
    except RecordError:
        return {}


def links(project: Project) -> list[dict[str, Any]]:
    """Label graphs and studies, newest first: what each one's record says, and its page where there is one."""
    rows = []
    for folder, (kind, record) in LINKED.items():
        for run in reversed(by_age((project.runs / folder).glob(f"*/{record}"))):
            page, told = run / "report.html", read_json_if_whole(run / record)
            rows.append(
                {
                    "kind": kind,
                    "name": run.name,
                    "page": relative(project, page) if page.exists() else None,
                    "sentence": told.get("verdict") or trials_of(told),
                }
            )
    return rows


def trials_of(study: Mapping[str, Any]) -> str | None:
    """How far a study is, in words."""
    settled, wanted = study.get("settled"), study.get("wanted")
    return None if settled is None or wanted is None else f"{settled} of {wanted} trials."


def relative(project: Project, path: Path) -> str:
    """The path as the record writes it."""
    return Path(os.path.relpath(path, project.reports)).as_posix()
