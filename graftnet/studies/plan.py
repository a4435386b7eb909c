"""Define a study of `graftnet tune`: what is asked for, what names it, and what its trials need."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.history import Progress
from foundation.provenance import identity_of
from graftnet.errors import ConfigError
from graftnet.project.folder import Project
from graftnet.studies.records import default_storage, studies_folder, study_name
from nas.tuning.records import RULES
from nas.tuning.storage import sqlite_url
from nas.tuning.study import Objective

if TYPE_CHECKING:
    from graftnet.searches.features import Announce


Make = Callable[["Announce | None", Progress | None], Objective]


@dataclass(frozen=True)
class TuneRequest:
    """A call of `graftnet tune depth` or `graftnet tune gcn`: plain values, so that a worker process can plan the same.

    trials: settled ones in all, earlier calls included. storage: an Optuna storage's URL, "" for the project's SQLite
    file. draws, draw_epochs, epochs: see `nas.tuning.depth_knobs.DepthSettings`; of gcn, none. depths: () for all.
    rule, tolerance: how the trial is picked, see `nas.tuning.records`.
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
    name in records, if there is one. make: gives the objective, with its features. few_sentence: what to say before its
    trials ask more than so few images can tell.
    """

    request: TuneRequest
    project: Project
    seed: int
    identity: dict[str, Any]
    about: dict[str, Any]
    metric: str
    second: str | None
    make: Make
    few_sentence: str = ""

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


def defining_options(request: TuneRequest, names: tuple[str, ...]) -> dict[str, Any]:
    """Those options of a call that define its study, as plain values."""
    values = asdict(request)
    return {name: list(values[name]) if isinstance(values[name], tuple) else values[name] for name in names}
