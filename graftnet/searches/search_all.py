"""Search all attributes: choose where, show how far each is, and account for every one at the end."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from graftnet.errors import ConfigError
from graftnet.project.overrides import NONE, PLACES, Overrides, PlaceOptions, open_overridden
from graftnet.project.settings import seed_or
from graftnet.searches.calls import found_in
from graftnet.searches.current import Call, Current, recall, remember
from graftnet.searches.processes import Processes
from graftnet.terminal.output import Answer, PlainLines, format_figures, format_seconds

if TYPE_CHECKING:
    from rich.progress import TaskID

    from graftnet.searches.queue import Job, Message, Outcome, Place


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
    calls = [Call(name, seed_or(seed, project), device) for name in project.sources()]
    known = {} if force else {call.attribute: recall(project, call) for call in calls}
    if all(known.get(call.attribute) for call in calls):
        with show_fleet() as display:
            display.say(f"0 of {len(calls)} attributes to search, {len(calls)} have a current result.")
        return [current_account(name, current) for name, current in known.items() if current]
    from graftnet.searches.queue import Outcome

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
    accounts = [account_of(job, outcomes.get(job.attribute)) for job in jobs]
    for job, call, account in zip(jobs, calls, accounts, strict=True):
        if job.plan and account.record["state"] != "failed":
            remember(project, call, job.plan, Path(account.record["folder"]), Path(account.record["report"]))
    return accounts


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
    from graftnet.searches.ray_cluster import open_ray

    return open_ray(
        options.address, cpus=1.0 if options.cpus is None else options.cpus, gpus=options.gpus, device=device
    )


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
        searched = found_in(outcome.folder, outcome.report)
        return Answer({**head, "state": "searched", **searched.record}, searched.text)
    from reports import write_report

    assert job.plan
    job.plan.make_newest()
    folder = job.plan.folder
    page = folder / "report.html"
    return current_account(job.attribute, Current(folder, page if page.exists() else write_report(folder)))


def current_account(attribute: str, current: Current) -> Answer:
    """What became of an attribute of which nothing was to be done."""
    head = {"attribute": attribute, "was": "current", "reasons": [], "state": "current"}
    return Answer({**head, **found_in(*current).record}, attribute)


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


def depth_sentences(jobs: Sequence["Job"]) -> Iterator[str]:
    """Which depths are read and why: of what will be searched, and of what is current at another depth than advised."""
    from graftnet.trunks.advice import why

    alike: dict[tuple[Any, ...], list[str]] = {}
    for job in jobs:
        plan = job.plan
        if plan and not job.error and plan.choice and (not job.current or plan.advised_otherwise):
            alike.setdefault((plan.choice, plan.depth, plan.blocks), []).append(job.attribute)
    for (choice, depth, blocks), names in alike.items():
        yield why(names, choice, depth, blocks=blocks)


@contextmanager
def show_fleet(stream: TextIO | None = None) -> Iterator["FleetLines"]:
    """The display that suits ``stream`` (standard error): bars on a terminal, lines elsewhere."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield FleetLines(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[stage]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[figures]}", style="dim"),
    )
    with Bars(*columns, console=Console(file=stream)) as bars:
        yield FleetBars(bars, stream)


class FleetLines:
    """Plain lines, each with its attribute in front; the bars are the same with another way to show a step."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream, self.clock = stream, clock
        self.began = clock()
        self.done = 0
        self.total = 0
        self.running: dict[str, str] = {}
        self.lines: dict[str, PlainLines] = {}

    def progress(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """What comes before the searches: planning, and the features of all images."""
        self.step("", stage, done, total, figures)

    def start(self, jobs: Sequence["Job"], todo: int) -> None:
        """Say what will be done, attribute by attribute; the clock for the time left begins here."""
        from graftnet.searches.standing import taken_sentence

        for job in jobs:
            if job.plan and not job.current and job.plan.few_sentence:
                self.say(job.plan.few_sentence)
            if job.plan and not job.current and job.plan.drawn_sentence:
                self.say(job.plan.drawn_sentence)
            if job.error:
                self.say(f"{job.attribute} cannot be searched: {job.error}")
            elif job.standing and (sentence := job.standing.sentence(job.attribute)):
                self.say(sentence)
            if job.plan and not job.current and (sentence := taken_sentence(job.plan)):
                self.say(sentence)
            if job.plan and not job.current and job.plan.shared_sentence:
                self.say(job.plan.shared_sentence)
        for sentence in depth_sentences(jobs):
            self.say(sentence)
        current = len(jobs) - todo - sum(job.error is not None for job in jobs)
        self.say(f"{todo} of {len(jobs)} attributes to search, {current} have a current result.")
        self.began, self.total = self.clock(), todo

    def take(self, message: "Message") -> None:
        """Show a message from a worker."""
        from graftnet.searches.queue import Began, Step

        if isinstance(message, Step):
            self.step(message.attribute, message.stage, message.done, message.total, message.figures)
        elif isinstance(message, Began):
            if message.attribute in self.running:
                died = self.running[message.attribute]
                self.say(f"{message.attribute}: its worker ({died}) died; it continues in another ({message.where}).")
            self.running[message.attribute] = message.where
        else:
            self.end(message)

    def end(self, outcome: "Outcome") -> None:
        """An attribute is done, or failed."""
        self.done += 1
        self.running.pop(outcome.attribute, None)
        what = f"failed: {outcome.error}" if outcome.error else f"done in {format_seconds(outcome.seconds)}"
        left = f", {format_seconds(self.seconds_left())} left" if self.done < self.total else ""
        self.say(f"{outcome.attribute}: {what} ({self.done} of {self.total} attributes{left})")

    def seconds_left(self) -> float:
        """As long for each of the others as for those that are done."""
        return (self.clock() - self.began) * (self.total - self.done) / max(1, self.done)

    def say(self, line: str) -> None:
        self.stream.write(f"{line}\n")
        self.stream.flush()

    def step(self, attribute: str, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if attribute not in self.lines:
            prefix = f"{attribute}: " if attribute else ""
            self.lines[attribute] = PlainLines(self.stream, self.clock, prefix)
        self.lines[attribute](stage, done, total, figures)


class FleetBars(FleetLines):
    """A bar for the fleet and one per running attribute; what is worth keeping is written above them."""

    def __init__(self, bars: Any, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, clock)
        self.bars = bars
        self.fleet: TaskID | None = None
        self.rows: dict[str, TaskID] = {}

    def start(self, jobs: Sequence["Job"], todo: int) -> None:
        self.forget("")
        super().start(jobs, todo)
        self.fleet = self.bars.add_task("attributes", total=todo, stage="", figures="")

    def end(self, outcome: "Outcome") -> None:
        super().end(outcome)
        self.forget(outcome.attribute)
        left = f"{format_seconds(self.seconds_left())} left" if self.done < self.total else ""
        self.bars.update(self.fleet, completed=self.done, stage=left)

    def say(self, line: str) -> None:
        self.bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def step(self, attribute: str, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        shown: dict[str, Any] = {
            "total": total,
            "completed": done,
            "stage": stage,
            "figures": format_figures(figures),
        }
        if attribute in self.rows:
            self.bars.update(self.rows[attribute], **shown)
        else:
            self.rows[attribute] = self.bars.add_task(attribute or "all images", **shown)

    def forget(self, attribute: str) -> None:
        """Take away an attribute's bar."""
        if attribute in self.rows:
            self.bars.remove_task(self.rows.pop(attribute))
