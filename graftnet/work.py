"""One planned search carried out, in whatever process or machine: it tells how far it is, and never raises."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from graftnet.devices import choose_device
from graftnet.failures import explain
from graftnet.pipeline import carry_out
from graftnet.plans import SearchPlan

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
