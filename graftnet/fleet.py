"""`graftnet search --all`: the queue planned, worked through and accounted for, attribute by attribute."""

from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftnet.errors import ConfigError
from graftnet.fleet_progress import show_fleet
from graftnet.overrides import NONE, PLACES, Overrides, PlaceOptions, open_overridden
from graftnet.processes import Processes
from graftnet.searching import Found
from graftnet.settings import seed_or

if TYPE_CHECKING:
    from graftnet.jobs import Job, Place
    from graftnet.work import Outcome


@dataclass(frozen=True)
class Account:
    """What became of one attribute: ``searched``, ``current`` (nothing was to be done) or ``failed``.

    was: where it stood before; reasons: why a stale one was redone.
    """

    attribute: str
    state: str
    was: str = ""
    reasons: tuple[str, ...] = ()
    found: Found | None = None
    error: str | None = None

    def record(self) -> dict[str, Any]:
        """Plain values for --json."""
        head = {"attribute": self.attribute, "state": self.state, "was": self.was, "reasons": list(self.reasons)}
        return {**head, **(self.found.record() if self.found else {"error": self.error})}


@dataclass(frozen=True)
class FleetFound:
    """The accounts of all attributes, in alphabetical order."""

    accounts: tuple[Account, ...]

    @property
    def failed(self) -> list[Account]:
        return [account for account in self.accounts if account.state == "failed"]

    def record(self) -> dict[str, Any]:
        states = [account.state for account in self.accounts]
        counts = {state: states.count(state) for state in ("searched", "current", "failed")}
        return {**counts, "searches": [account.record() for account in self.accounts]}

    def text(self) -> str:
        """What was searched, then what was not."""
        lines = [each.found.text() for each in self.accounts if each.found and each.state == "searched"]
        if current := [each.attribute for each in self.accounts if each.state == "current"]:
            every = "every attribute" if len(current) == len(self.accounts) else ", ".join(current)
            lines.append(f"Current, not searched again: {every}.")
        lines.append("All of them on one page: graftnet report")
        return "\n".join(lines)

    def failure(self) -> str:
        """Who failed and why, a line each."""
        lines = [f"  {account.attribute}: {account.error}" for account in self.failed]
        return "\n".join([f"{len(lines)} of {len(self.accounts)} attributes failed:", *lines])


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
) -> FleetFound:
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
    return FleetFound(tuple(account_of(job, outcomes.get(job.attribute)) for job in jobs))


def account_of(job: "Job", outcome: "Outcome | None") -> Account:
    """One attribute's account, from its job and, where it was to be searched, the outcome."""
    was, reasons = job.standing or ("", ())
    if error := job.error or (outcome and outcome.error):
        return Account(job.attribute, "failed", was, reasons, error=error)
    if outcome:
        assert outcome.folder
        assert outcome.report
        return Account(job.attribute, "searched", was, reasons, Found(outcome.folder, outcome.report))
    from reports import write_report

    assert job.plan
    job.plan.make_newest()
    folder = job.plan.folder
    page = folder / "report.html"
    return Account(
        job.attribute, "current", was, reasons, Found(folder, page if page.exists() else write_report(folder))
    )
