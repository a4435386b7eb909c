"""Show progress in a notebook: one line with a bar per group of stages, changed in place, with the time left."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from graftnet.terminal.output import format_figures, format_seconds, group_of
from graftnet.terminal.timing import Remaining

if TYPE_CHECKING:
    from foundation.history import Progress

EVERY = 0.2  # seconds between two changes of what is shown


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook, where HTML is shown."""
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


@contextmanager
def notebook_progress(given: "Progress | None") -> "Iterator[Progress | None]":
    """What hears a long function's progress: the caller's own, a notebook's bars, or nothing."""
    if given is not None or not in_notebook():
        yield given
        return
    import IPython.display as screen

    page: Any = screen  # it has no types
    shown = page.display(page.HTML(""), display_id=True)
    bars = NotebookBars(lambda html: shown.update(page.HTML(html)))
    yield bars
    bars.show()


class NotebookBars:
    """Hears a stage, how much of it is done, of how much, and figures; hands HTML to ``update``."""

    def __init__(self, update: Callable[[str], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self.update, self.clock = update, clock
        self.lines: dict[str, str] = {}
        self.stage, self.written = "", -EVERY
        self.remaining = Remaining(clock)

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if stage != self.stage:
            self.stage = stage
            self.remaining.begin(done)
        self.remaining.hear(done)
        left = self.remaining.left(total) if done < total else None
        time_left = "" if left is None else f"{format_seconds(left)} left"
        words = ", ".join(part for part in (f"{done}/{total}", format_figures(figures), time_left) if part)
        self.lines[group_of(stage)] = (
            f"<div><code>{escape(stage)}</code> <progress value='{done}' max='{max(total, 1)}'></progress> "
            f"{escape(words)}</div>"
        )
        if self.clock() - self.written >= EVERY:
            self.show()

    def show(self) -> None:
        """Change what is shown."""
        self.written = self.clock()
        self.update("".join(self.lines.values()))
