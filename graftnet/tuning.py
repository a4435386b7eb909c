"""`graftnet tune`: a study planned, worked on by one process or several, and written down."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.files import write_json
from foundation.progress import Progress
from foundation.provenance import identity_of, machine, this_command, timestamp, versions
from graftnet.devices import choose_device
from graftnet.errors import ConfigError
from graftnet.project import Project, open_project
from graftnet.settings import seed_or
from graftnet.studies import RECORD, default_storage, studies_folder, study_name
from nas.tuning import Objective, open_study, run_study, settled_count
from nas.tuning_picking import RULES
from nas.tuning_records import study_record
from nas.tuning_storage import open_storage, shown_url, sqlite_url

if TYPE_CHECKING:
    import optuna

    from graftnet.featuring import Announce

Make = Callable[["Announce | None", Progress | None], Objective]


@dataclass(frozen=True)
class TuneRequest:
    """A call of `graftnet tune depth` or `graftnet tune gcn`: plain values, so that a worker process can plan the same.

    trials: settled ones in all, earlier calls included. storage: an Optuna storage's URL, "" for the project's SQLite
    file. draws, draw_epochs, epochs: see `nas.tuning_depth_knobs.DepthSettings`; of gcn, none. depths: () for all.
    rule, tolerance: how the trial is picked, see `nas.tuning_picking`.
    """

    project: Path
    kind: str
    attribute: str | None = None
    trials: int = 30
    storage: str = ""
    second: str = "parameters"
    depths: tuple[int, ...] = ()
    draws: int = 4
    draw_epochs: int = 1
    epochs: int = 6
    with_tail: bool = False
    rule: str = "smallest_within"
    tolerance: float = 1.0
    seed: int | None = None
    device: str = "auto"
    command: str = ""

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigError(f"--pick must be one of {', '.join(RULES)}, is {self.rule!r}.")
        if not 0 <= self.tolerance < float("inf"):
            raise ConfigError(f"--tolerance must be 0 or more standard errors, is {self.tolerance}.")


@dataclass(frozen=True)
class StudyPlan:
    """A study, decided but not begun.

    identity: what defines it. about: what its record says of it. metric: of the score. second: the second objective's
    name in records, if there is one. make: gives the objective, with its features.
    """

    request: TuneRequest
    project: Project
    seed: int
    identity: dict[str, Any]
    about: dict[str, Any]
    metric: str
    second: str | None
    make: Make

    @property
    def name(self) -> str:
        return study_name(self.request.kind, self.request.attribute, identity_of(self.identity))

    @property
    def folder(self) -> Path:
        return studies_folder(self.project) / self.name

    @property
    def url(self) -> str:
        """Where its trials are kept."""
        return self.request.storage or sqlite_url(default_storage(self.project))


def plan_study(request: TuneRequest) -> StudyPlan:
    """Read what a study is about; nothing is trained, and no image passes the trunk.

    Raises:
        ConfigError, DataError, TrunkError, SearchError, LabelGraphError: something that it needs cannot be used.
    """
    project = open_project(request.project)
    seed, device = seed_or(request.seed, project), choose_device(request.device)
    if request.kind == "depth":
        from graftnet.tune_depth import plan_depth

        return plan_depth(request, project, seed=seed, device=device)
    from graftnet.tune_gcn import plan_gcn

    return plan_gcn(request, project, seed=seed, device=device)


def tune(
    request: TuneRequest, *, workers: int = 1, announce: "Announce | None" = None, progress: Progress | None = None
) -> Path:
    """Work on a study until it has its trials, or continue it; returns its folder with ``study.json``.

    workers: so many processes, where more than one.
    """
    plan = plan_study(request)
    storage = open_storage(plan.url)
    objective = plan.make(announce, progress)
    study = open_study(storage, plan.name, objective, seed=plan.seed)
    note = Notes(plan, study, objective, progress)
    if workers == 1:
        run_study(study, objective, trials=request.trials, seed=plan.seed, settled=note)
    else:
        from graftnet.tune_workers import run_workers

        run_workers(request, workers, count=lambda: settled_count(study, request.trials), settled=note)
    note.write(whole=True)
    return plan.folder


class Notes:
    """Writes the study's record as trials are settled, and shows how far it is."""

    def __init__(self, plan: StudyPlan, study: "optuna.Study", objective: Objective, progress: Progress | None) -> None:
        self.plan, self.study, self.objective, self.progress = plan, study, objective, progress
        self.count = -1

    def __call__(self, settled: int) -> None:
        """Hear that so many trials are settled."""
        if settled == self.count:
            return
        self.count = settled
        record = self.write()
        if self.progress:
            scores = [trial["score"] for trial in record["trials"] if trial["score"] is not None]
            figures = {f"best_{self.plan.metric}": max(scores)} if scores else {}
            self.progress("trials", min(settled, record["wanted"]), record["wanted"], figures)

    def write(self, *, whole: bool = False) -> dict[str, Any]:
        """Write ``study.json``; whole: with the importances of the knobs."""
        plan, request = self.plan, self.plan.request
        found = study_record(
            self.study,
            total=request.trials,
            seed=plan.seed,
            metric=plan.metric,
            second=plan.second,
            rule=request.rule,
            tolerance=request.tolerance,
            whole=whole,
        )
        record = {
            "study": request.kind,
            "attribute": request.attribute,
            "name": plan.name,
            "storage": shown_url(plan.url),
            "seed": plan.seed,
            **plan.about,
            "knobs": [knob.to_json() for knob in self.objective.knobs],
            **found,
            "command": request.command or this_command(),
            "versions": versions(),
            "machine": machine(choose_device(request.device)),
            "created": timestamp(),
        }
        write_json(plan.folder / RECORD, record)
        return record


def described(request: TuneRequest, names: tuple[str, ...]) -> dict[str, Any]:
    """Those options of a call that define its study, as plain values."""
    values = asdict(request)
    return {name: list(values[name]) if isinstance(values[name], tuple) else values[name] for name in names}
