"""`graftnet search --all`: the queue planned, worked through and accounted for, attribute by attribute."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from graftnet.answer import Answer
from graftnet.errors import ConfigError
from graftnet.fleet_progress import show_fleet
from graftnet.overrides import NONE, PLACES, Overrides, PlaceOptions, open_overridden
from graftnet.processes import Processes
from graftnet.searching import found_in
from graftnet.settings import seed_or

if TYPE_CHECKING:
    from graftnet.jobs import Job, Place
    from graftnet.work import Outcome


def fleet_answer(accounts: Sequence[Answer]) -> Answer:
    """The accounts of all attributes, in alphabetical order: what was searched, then what was not."""
    states = [account.record["state"] for account in accounts]
    lines = [account.text for account in accounts if account.record["state"] == "searched"]
    if current := [account.text for account in accounts if account.record["state"] == "current"]:
        every = "every attribute" if len(current) == len(accounts) else ", ".join(current)
        lines.append(f"Current, not searched again: {every}.")
    lines.append("All of them on one page: graftnet report")
    counts = {state: states.count(state) for state in ("searched", "current", "failed")}
    return Answer({**counts, "searches": [account.record for account in accounts]}, "\n".join(lines))


def failure(accounts: Sequence[Answer]) -> str:
    """Who failed and why, a line each; empty where all is well."""
    lines = [account.text for account in accounts if account.record["state"] == "failed"]
    return "\n".join([f"{len(lines)} of {len(accounts)} attributes failed:", *lines]) if lines else ""


def choose_place(options: PlaceOptions, device: str) -> "AbstractContextManager[Place]":
    """The place that the options of `graftnet search --all` name.

    Raises:
        ConfigError: options that do not go together. ModuleNotFoundError: Ray is not installed.
    """
    if options.on not in PLACES:
        raise ConfigError(f"--on must be one of {', '.join(PLACES)}, is {options.on!r}.")
    if options.on == "here":
        if rays := [option for option in options.given if option != "--workers"]:
            raise ConfigError(f"{rays[0]} goes with --on ray; here, --workers N searches N attributes at a time.")
        return nullcontext(Processes(options.workers or 1))
    if options.workers is not None:
        raise ConfigError("--workers goes with --on here; on Ray, --cpus and --gpus say what one attribute needs.")
    from graftnet.ray_jobs import open_ray

    return open_ray(
        options.address, cpus=1.0 if options.cpus is None else options.cpus, gpus=options.gpus, device=device
    )


def search_all(
    folder: Path | None,
    place: "AbstractContextManager[Place]",
    *,
    seed: int | None,
    device: str,
    force: bool,
    overrides: Overrides = NONE,
) -> list[Answer]:
    """Search every attribute that has no current result; one that fails does not keep the others from being searched.

    Raises:
        ConfigError: nothing can be searched: the call, the configuration or the trunk is wrong.
    """
    project = open_overridden(folder, overrides)
    if not project.sources():
        raise ConfigError(f"{project.data} has no sub-dataset; bring one in with `graftnet data import`.")
    from graftnet.work import Outcome

    outcomes: dict[str, Outcome] = {}
    with place as here, show_fleet() as display:
        jobs = here.survey(project, seed=seed_or(seed, project), device=device, force=force, progress=display.progress)
        plans = [job.plan for job in jobs if job.plan and not job.error and (force or not job.current)]
        display.start(jobs, len(plans))
        with closing(here.run(plans, device=device, force=force)) as messages:
            for message in messages:
                display.take(message)
                if isinstance(message, Outcome):
                    outcomes[message.attribute] = message
    return [account_of(job, outcomes.get(job.attribute)) for job in jobs]


def account_of(job: "Job", outcome: "Outcome | None") -> Answer:
    """What became of one attribute: ``searched``, ``current`` (nothing was to be done) or ``failed``.

    was: where it stood before; reasons: why a stale one was redone.
    """
    was, reasons = job.standing or ("", ())
    head = {"attribute": job.attribute, "was": was, "reasons": list(reasons)}
    if error := job.error or (outcome and outcome.error):
        return Answer({**head, "state": "failed", "error": error}, f"  {job.attribute}: {error}")
    if outcome:
        assert outcome.folder
        assert outcome.report
        found = found_in(outcome.folder, outcome.report)
        return Answer({**head, "state": "searched", **found.record}, found.text)
    from reports import write_report

    assert job.plan
    job.plan.make_newest()
    folder = job.plan.folder
    page = folder / "report.html"
    found = found_in(folder, page if page.exists() else write_report(folder))
    return Answer({**head, "state": "current", **found.record}, job.attribute)
