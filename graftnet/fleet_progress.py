"""One progress display for a fleet of searches: how many attributes are done, and how far each running one is."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from graftnet.progress import PlainLines, format_figures, format_seconds

if TYPE_CHECKING:
    from rich.progress import TaskID

    from graftnet.jobs import Job
    from graftnet.work import Message, Outcome


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
        for job in jobs:
            if job.error:
                self.say(f"{job.attribute} cannot be searched: {job.error}")
            elif job.standing and (sentence := job.standing.sentence(job.attribute)):
                self.say(sentence)
        current = len(jobs) - todo - sum(job.error is not None for job in jobs)
        self.say(f"{todo} of {len(jobs)} attributes to search, {current} have a current result.")
        self.began, self.total = self.clock(), todo

    def take(self, message: "Message") -> None:
        """Show a message from a worker."""
        from graftnet.work import Began, Step

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
