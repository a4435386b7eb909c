"""The queue of attributes: plan each, fill the cache for all in one pass, then one search after another.

Where the searches run is a :class:`Place`: processes of this machine (``graftnet.searches.processes``) or a Ray cluster
(``graftnet.searches.ray_cluster``). One attribute's failure, of whatever kind, is its own.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import torch

from foundation.history import Progress
from graftnet.project.folder import Project
from graftnet.project.machine import choose_device
from graftnet.project.settings import settings_on
from graftnet.searches.features import fill_cache
from graftnet.searches.plan import SearchPlan
from graftnet.searches.run import carry_out, plan_search
from graftnet.searches.standing import Standing, standing_of
from graftnet.terminal.failures import explain
from graftnet.terminal.output import if_long
from graftnet.trunks.versions import open_trunk
from trunk.trunk import Trunk

PLANNING = "planning"
STEP_EVERY = 0.2  # seconds between two messages about the same stage


class Began(NamedTuple):
    """A worker took up an attribute; a second time, if the first worker died."""

    attribute: str
    where: str


class Step(NamedTuple):
    """How far an attribute's search is: ``done`` of ``total`` of a stage, with that stage's figures."""

    attribute: str
    stage: str
    done: int
    total: int
    figures: dict[str, float]


class Outcome(NamedTuple):
    """The end of one attribute's work: its search's folder and report, or the sentence that says what went wrong."""

    attribute: str
    folder: Path | None = None
    report: Path | None = None
    error: str | None = None
    seconds: float = 0.0


Message = Began | Step | Outcome


@dataclass(frozen=True)
class Job:
    """One attribute of the queue: a plan and where it stands, or the sentence that says why there is none."""

    attribute: str
    plan: SearchPlan | None = None
    standing: Standing | None = None
    error: str | None = None

    @property
    def current(self) -> bool:
        return self.standing is not None and self.standing.state == "current"


class Place(Protocol):
    """Where a queue is worked through."""

    def survey(self, project: Project, *, seed: int, device: str, progress: Progress, force: bool) -> list[Job]:
        """:func:`survey`, in this place."""
        ...

    def run(self, plans: Sequence[SearchPlan], *, device: str, force: bool) -> Generator[Message, None, None]:
        """Carry out the plans; for each exactly one :class:`Outcome`, the last word about it."""
        ...


def survey(
    project: Project, *, seed: int, device: torch.device, force: bool = False, progress: Progress | None = None
) -> list[Job]:
    """Plan the search of every attribute, and compute the features that those to be searched still need.

    An attribute whose data cannot be used fails alone.

    Raises:
        ConfigError, TrunkError: no attribute can be searched, for a setting or the trunk is wrong.
    """
    trunk = open_trunk(project, device)
    settings_on(project.config, trunk, device)  # raises here what no attribute could do without
    jobs: list[Job] = []
    hashes: dict[Path, str] = {}
    names, quiet = list(project.sources()), if_long(progress) if progress else None
    for number, name in enumerate(names):
        if progress:
            progress(PLANNING, number, len(names), {})
        jobs.append(
            plan_job(project, trunk, name, seed=seed, device=device, hashes=hashes, force=force, progress=quiet)
        )
    wanted = [job for job in jobs if job.plan and (force or not job.current)]
    failed = {job.attribute: job for job in fill(project, trunk, wanted, progress) if job.error}
    return [failed.get(job.attribute, job) for job in jobs]


def plan_job(
    project: Project,
    trunk: Trunk,
    attribute: str,
    *,
    seed: int,
    device: torch.device,
    hashes: dict[Path, str],
    force: bool = False,
    progress: Progress | None = None,
) -> Job:
    """Plan one attribute; ``hashes`` of images seen before are used, and new ones added."""
    try:
        plan = plan_search(
            project, trunk, attribute, seed=seed, device=device, hashes=hashes, force=force, progress=progress
        )
    except Exception as error:
        return Job(attribute, error=explain(error, project.runs)[0])
    hashes.update(plan.hashes)
    return Job(attribute, plan, standing_of(plan))


def fill(project: Project, trunk: Trunk, jobs: Sequence[Job], progress: Progress | None) -> list[Job]:
    """Features for all jobs in one pass of the trunk; where that fails, one by one, to see whose images they are."""

    def fill_for(chosen: Sequence[Job]) -> None:
        plans = [job.plan for job in chosen if job.plan]
        hashes = {path: content for plan in plans for path, content in plan.hashes.items()}
        depths = {plan.attribute: plan.depth for plan in plans}
        fill_cache(project, trunk, [plan.subdataset for plan in plans], hashes=hashes, depths=depths, progress=progress)

    def tried(job: Job) -> Job:
        try:
            fill_for([job])
        except Exception as error:
            return replace(job, error=explain(error, project.runs)[0])
        return job

    try:
        fill_for(jobs)
    except Exception:
        return [tried(job) for job in jobs]
    return list(jobs)


def work(
    plan: SearchPlan, *, device: str, force: bool, send: Callable[[Message], None], patience: float = 0.0
) -> Outcome:
    """Search and write the report; whatever goes wrong becomes the outcome's sentence, so that others can go on."""
    from reports import write_report

    started = time.monotonic()
    try:
        progress = Throttle(plan.attribute, send)
        folder = carry_out(plan, device=choose_device(device), progress=progress, force=force, patience=patience)
        report = write_report(folder)
    except Exception as error:
        sentence, _ = explain(error, plan.project.runs)
        return Outcome(plan.attribute, error=sentence, seconds=time.monotonic() - started)
    return Outcome(plan.attribute, folder, report, seconds=time.monotonic() - started)


class Throttle:
    """A progress callback that sends the first and the last step of a stage, and some in between."""

    def __init__(
        self, attribute: str, send: Callable[[Message], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.attribute, self.send, self.clock = attribute, send, clock
        self.stage = ""
        self.sent = 0.0

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        now = self.clock()
        if stage == self.stage and done < total and now - self.sent < STEP_EVERY:
            return
        self.stage, self.sent = stage, now
        self.send(Step(self.attribute, stage, done, total, {name: float(value) for name, value in figures.items()}))
