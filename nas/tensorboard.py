"""Curves of a search for TensorBoard, made from its records, so that a continued search has no step twice.

Event files are written anew where the records are not those that were written before: a continued search cuts its
history back to its last checkpoint.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from foundation.history import Progress, read_history

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"  # in the search's folder
EVENTS = "events.out.tfevents.*"
LOOK_EVERY = 1.0  # seconds between two looks at the records
UPDATE = ("reward", "best_reward", "baseline", "entropy", "skip_penalty")


class Scalar(NamedTuple):
    """One point of a curve."""

    tag: str
    step: int
    value: float


def scalars(history: Sequence[Mapping[str, Any]]) -> Iterator[Scalar]:
    """The points of every curve, in the order of the records; a tag's steps rise by one from one to the next.

    Child epochs and epochs of a training are counted as their records count them, updates and candidates from 1.
    """
    seen: Counter[str] = Counter()
    for record in history:
        kind = str(record["kind"])
        seen[kind] += 1
        if kind == "child_epoch":
            yield from points("search", record, ("loss", "learning_rate"), int(record["epoch"]))
        elif kind == "controller_update":
            yield from points("controller", record, UPDATE, seen[kind])
        elif kind == "candidate":
            yield from points("candidates", record, ("score", "parameters"), seen[kind])
        elif kind == "retraining":
            prefix = f"retraining {record.get('role', 'candidate')}/{record.get('identity', seen[kind])}"
            seen[prefix] += 1
            if seen[prefix] == 1:  # another training of the same architecture is no continuation of the curve
                for point in record.get("curve", ()):
                    yield from points(prefix, point, ("loss", "val_score"), int(point["epoch"]))


def points(prefix: str, record: Mapping[str, Any], fields: Sequence[str], step: int) -> Iterator[Scalar]:
    """The fields that hold a number."""
    for field in fields:
        value = record.get(field)
        if isinstance(value, int | float):
            yield Scalar(f"{prefix}/{field}", step, float(value))


class ScalarLog:
    """The event files of one search; :meth:`look` brings them up to its records.

    Raises:
        ModuleNotFoundError: tensorboard is not installed.
    """

    def __init__(self, search: Path) -> None:
        import tensorboard  # noqa: F401 - torch's own message would not say how to get it

        self.history, self.folder = search / "history.jsonl", search / FOLDER
        self._told = b""
        self._points = 0
        self._writer: SummaryWriter | None = None

    def look(self) -> None:
        """Write the points that are new since the last look; all of them where the records were cut back."""
        from torch.utils.tensorboard import SummaryWriter

        text = self.history.read_bytes() if self.history.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]
        if self._writer is None or not whole.startswith(self._told):
            self.close()
            for old in self.folder.glob(EVENTS):
                old.unlink()
            self._writer, self._points = SummaryWriter(str(self.folder), purge_step=0), 0
        if whole:
            curve_points = list(scalars(read_history(self.history)))
            for point in curve_points[self._points :]:
                self._writer.add_scalar(point.tag, point.value, point.step)
            self._points = len(curve_points)
        self._writer.flush()
        self._told = whole

    def close(self) -> None:
        """Finish the event file that is open."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Follower:
    """Keeps the event files of a search that runs in this process up to date, from its progress."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        import tensorboard  # noqa: F401 - missing, it is missed before hours of search

        self.clock = clock
        self.log: ScalarLog | None = None

    def observe(self, search: Path, progress: Progress | None) -> Progress:
        """A progress callback that looks at the records of ``search``, and tells ``progress``."""
        log = self.log = ScalarLog(search)
        looked = self.clock() - LOOK_EVERY

        def observed(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
            nonlocal looked
            if (now := self.clock()) - looked >= LOOK_EVERY:
                looked = now
                log.look()
            if progress:
                progress(stage, done, total, figures)

        return observed

    def finish(self, search: Path) -> Path:
        """Bring the event files of the finished search up to its last record; returns their folder."""
        log = self.log or ScalarLog(search)
        log.look()
        log.close()
        return log.folder
