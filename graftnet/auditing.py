"""An audit as the command line runs it: the newest finished search of an attribute, on the data it was run on."""

from pathlib import Path
from typing import Any

from foundation.files import read_json
from foundation.locks import only_one
from graftnet.answer import Answer
from graftnet.devices import choose_device
from graftnet.errors import ConfigError
from graftnet.progress import show_progress
from graftnet.project import open_project

QUICK_SEEDS, QUICK_ARCHITECTURES = 2, 10


def audited(audit: dict[str, Any], folder: Path, report: Path) -> Answer:
    """What audit.json says and the paths; the sentence, what it is made of, and where to look."""
    cost, collapse = audit["cost"], audit["collapse"]
    text = (
        f"{audit['sentence']}\n"
        f"  {collapse['sentence']}\n"
        f"  The search took {cost['search_seconds']:.0f} s of the job's {cost['total_seconds']:.0f} s; the audit "
        f"{cost['audit_trainings']} trainings and {cost['audit_searches']} searches, "
        f"{cost['audit_seconds']:.0f} s.\n"
        f"  record {folder / 'audit.json'}\n  report {report}"
    )
    return Answer({**audit, "folder": str(folder), "report": str(report)}, text)


def audit_one(
    folder: Path | None, attribute: str, *, seeds: int, architectures: int, test: bool, device: str
) -> Answer:
    """Audit the newest finished search of an attribute, or continue its audit.

    Raises:
        ConfigError: there is none, or the data, the trunk or the settings have changed since.
    """
    project = open_project(folder)
    project.source(attribute)
    found = project.results(attribute)
    if not found:
        raise ConfigError(f"{attribute} has no finished search to audit; run `graftnet search {attribute}` first.")
    place = found[-1]
    config = read_json(place / "config.json")
    from nas.settings import BY_HAND

    if config["strategy"] == BY_HAND:
        raise ConfigError(f"The branch of {attribute} was chosen by hand ({place}); there is no search to audit.")
    seed = config["seed"]
    chosen = choose_device(device)
    from graftnet.overrides import Overrides, overridden
    from graftnet.pipeline import job_data, plan_search
    from graftnet.trunks import open_trunk
    from graftnet.warming import with_sources
    from nas.audit import run_audit
    from reports import write_report

    trunk = open_trunk(project, chosen)
    cold = plan_search(overridden(project, Overrides(warm_start=False)), trunk, attribute, seed=seed, device=chosen)
    plan = with_sources(cold, config.get("warm_start") or ())
    if plan.folder != place:
        raise ConfigError(
            f"The data, the trunk, the device or the settings have changed since {attribute} was searched ({place}); "
            f"run `graftnet search {attribute}` again, then audit that."
        )
    with show_progress() as progress, only_one(place):
        audit = run_audit(
            job_data(plan, trunk, progress=progress),
            plan.settings,
            folder=place,
            seed=seed,
            device=chosen,
            seeds=seeds,
            architectures=architectures,
            test=test,
            progress=progress,
        )
    return audited(audit, place, write_report(place))
