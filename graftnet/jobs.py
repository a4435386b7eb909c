"""The queue of attributes: what each one needs, features for all of them in one pass, then one search after another.

Where the searches run is a :class:`Place`: processes of this machine (``graftnet.processes``) or a Ray cluster
(``graftnet.ray_jobs``). One attribute's failure, of whatever kind, is its own.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

from foundation.progress import Progress
from graftnet.by_hand import settings_on
from graftnet.failures import explain
from graftnet.featuring import fill_cache
from graftnet.pipeline import plan_search
from graftnet.plans import SearchPlan
from graftnet.project import Project
from graftnet.standing import Standing, standing_of
from graftnet.trunks import open_trunk
from graftnet.work import Message
from trunk.trunk import Trunk

PLANNING = "planning"


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
        """Carry out the plans; for each exactly one :class:`graftnet.work.Outcome`, the last word about it."""
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
    names = list(project.sources())
    for number, name in enumerate(names):
        if progress:
            progress(PLANNING, number, len(names), {})
        jobs.append(plan_job(project, trunk, name, seed=seed, device=device, hashes=hashes))
    wanted = [job for job in jobs if job.plan and (force or not job.current)]
    failed = {job.attribute: job for job in fill(project, trunk, wanted, progress) if job.error}
    return [failed.get(job.attribute, job) for job in jobs]


def plan_job(
    project: Project, trunk: Trunk, attribute: str, *, seed: int, device: torch.device, hashes: dict[Path, str]
) -> Job:
    """Plan one attribute; ``hashes`` of images seen before are used, and new ones added."""
    try:
        plan = plan_search(project, trunk, attribute, seed=seed, device=device, hashes=hashes)
    except Exception as error:
        return Job(attribute, error=explain(error, project.runs)[0])
    hashes.update(plan.hashes)
    return Job(attribute, plan, standing_of(plan))


def fill(project: Project, trunk: Trunk, jobs: Sequence[Job], progress: Progress | None) -> list[Job]:
    """Features for all jobs in one pass of the trunk; where that fails, one by one, to see whose images they are."""

    def fill_for(chosen: Sequence[Job]) -> None:
        plans = [job.plan for job in chosen if job.plan]
        hashes = {path: content for plan in plans for path, content in plan.hashes.items()}
        fill_cache(project, trunk, [plan.subdataset for plan in plans], hashes=hashes, progress=progress)

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
