"""Write a command's answer and its progress: text or JSON, tables; bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO
from unicodedata import category

import typer

from graftnet.terminal.timing import Remaining

if TYPE_CHECKING:
    from foundation.history import Progress
    from trunk.features.estimate import Estimate


JOINTS = "\n\t\u200c\u200d"


class Answer(NamedTuple):
    """A command's outcome: plain values for --json, and the same for a person."""

    record: Mapping[str, Any]
    text: str


def answer(record: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Write ``text``, or with ``as_json`` the record as the last line of standard output."""
    if as_json:
        import json  # here, for --help is quicker without

        text = json.dumps(record, default=str)
    typer.echo(printable(text))


def printable(text: str) -> str:
    """A text whose control characters are shown, not obeyed: what was received may hold a terminal's commands.

    >>> printable("hat\\x1b[2J\\n\\tyes")
    'hat\\\\x1b[2J\\n\\tyes'
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or _spaces(sign) else ascii(sign)[1:-1] for sign in text)


def _spaces(sign: str) -> bool:
    """Whether it is a space of any width, a joint between letters, or what begins a line or a column."""
    return sign in JOINTS or category(sign) == "Zs"


def text_table(rows: Sequence[Sequence[str]], right: str = "") -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell.

    Args:
        rows: the head first. A row of fewer cells ends in words that widen no column.
        right: of the columns in order, ">" where cells are set to the right; to the left by default.

    >>> text_table([("label", "images"), ("hat", "7"), ("bag", "none yet")][:2], "<>")
    ['label  images', 'hat         7']
    """
    columns = max(map(len, rows), default=0)
    cells = [row if len(row) == columns else row[:-1] for row in rows]
    widths = [max((len(row[column]) for row in cells if column < len(row)), default=0) for column in range(columns)]
    sides = right.ljust(columns, "<")

    def line(row: Sequence[str]) -> str:
        padded = [f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=False)]
        return "  ".join([*padded[:-1], row[-1]] if len(row) < columns else padded).rstrip()

    return [line(row) for row in rows]


LINE_EVERY = 10.0
QUICK = 2.0  # seconds


@contextmanager
def show_progress(stream: TextIO | None = None) -> Iterator["Progress"]:
    """A callback (stage, done, total, figures) for the rooms' long functions, shown on ``stream`` (standard error)."""
    stream = stream or sys.stderr
    if stream.isatty():
        with show_bars(stream) as progress:
            yield progress
    else:
        yield PlainLines(stream)


@contextmanager
def show_bars(stream: TextIO) -> Iterator["Progress"]:
    """One bar per group of stages, the one that is running last."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[figures]}", style="dim"),
    )
    tasks: dict[str, TaskID] = {}
    times: dict[str, Remaining] = {}
    with Bars(*columns, console=Console(file=stream)) as bars:

        def report(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
            group = group_of(stage)
            shown: dict[str, Any] = {"total": total, "completed": done, "figures": format_figures(figures)}
            if group not in tasks:
                times[group] = Remaining()
                times[group].begin(done)
                tasks[group] = bars.add_task(stage, **shown, left="")
            elif stage != bars.tasks[tasks[group]].description or done < bars.tasks[tasks[group]].completed:
                times[group].begin(done)
                bars.reset(tasks[group], description=stage, **shown, left="")
            else:
                times[group].hear(done)
                left = times[group].left(total) if done < total else None
                shown["left"] = "" if left is None else f"{format_seconds(left)} left"
                bars.update(tasks[group], **shown)

        yield report


class PlainLines:
    """A line when a group of stages begins and when a stage ends, and every ten seconds in between."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic, prefix: str = "") -> None:
        self.stream = stream
        self.clock = clock
        self.prefix = prefix
        self.stage = ""
        self.last_done = 0
        self.written = 0.0
        self.remaining = Remaining(clock)

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        now = self.clock()
        silent = group_of(stage) == group_of(self.stage)
        if stage != self.stage or done < self.last_done:
            self.stage = stage
            self.remaining.begin(done)
        self.remaining.hear(done)
        self.last_done = done
        if silent and done < total and now - self.written < LINE_EVERY:
            return
        self.written = now
        parts = [f"{stage} {done}/{total}", format_figures(figures)]
        left = self.remaining.left(total) if done < total else None
        if left is not None:
            parts.append(f"{format_seconds(left)} left")
        self.stream.write(self.prefix + ", ".join(part for part in parts if part) + "\n")
        self.stream.flush()


def if_long(progress: "Progress", clock: Callable[[], float] = time.monotonic) -> "Progress":
    """A callback that passes on what it hears once the work takes longer than `QUICK`: what is quick is not told."""
    began = clock()

    def told(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if clock() - began > QUICK:
            progress(stage, done, total, figures)

    return told


def group_of(stage: str) -> str:
    """The stages ``retrain candidate-0`` and ``retrain candidate-1`` are one group."""
    return stage.partition(" ")[0]


def format_figures(figures: Mapping[str, float]) -> str:
    """``reward 0.912, loss 0.31``."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in figures.items())


def format_seconds(seconds: float) -> str:
    """``42 s``, ``3 min 5 s``, ``2 h 4 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def announce(estimate: "Estimate") -> None:
    """Say what filling the cache takes, before it begins."""
    typer.echo(estimate.sentence(), err=True)
