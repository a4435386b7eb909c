"""A study whose objective is arithmetic, so that hundreds of trials take no time; also a worker process of one."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from nas.tuning.knobs import Knob, Setting
from nas.tuning.storage import open_storage
from nas.tuning.study import Outcome, PrunedError, Watch, open_study, run_study


@contextmanager
def unsynced() -> Iterator[None]:
    """SQLite that does not wait for the disk while the block runs: killed processes lose nothing by it."""

    def connected(connection: Any, _record: object) -> None:
        if hasattr(connection, "create_function"):  # SQLite's own
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", connected)
    try:
        yield
    finally:
        event.remove(Engine, "connect", connected)


KNOBS = (
    Knob("depth", low=1, high=6),
    Knob("space", ("macro", "tail")),
    Knob("rate", low=1e-3, high=1.0, log=True),
    Knob("nodes", low=1, high=4, only=("space", ("macro",))),
)
FIRST: Setting = {"depth": 3, "space": "macro", "rate": 0.1, "nodes": 2}


@dataclass(frozen=True)
class Arithmetic:
    """Score and cost are formulas of the setting and the trial's seed; pause: seconds that a trial takes."""

    second: str | None = "parameters"
    pause: float = 0.0

    @property
    def knobs(self) -> Sequence[Knob]:
        return KNOBS

    @property
    def first(self) -> Setting:
        return FIRST

    def __call__(self, setting: Setting, *, seed: int, watch: Watch) -> Outcome:
        time.sleep(self.pause)
        nodes = float(setting.get("nodes", 9))
        score = 1.0 - abs(float(setting["depth"]) - 4) / 10 - abs(float(setting["rate"]) - 0.2) / 5
        cost = 100.0 * float(setting["depth"]) * nodes
        best = [score * share for share in (0.5, 0.8, 0.9, 1.0)]
        details: dict[str, Any] = {"best": best, "standard_error": 0.01, "seed": seed}
        for epoch, reached in enumerate(best[:-1], 1):
            if reason := watch(epoch, reached, cost if self.second else None):
                raise PrunedError(reason, {**details, "best": best[:epoch]})
        return Outcome(score, cost if self.second else None, details)


def work(url: str, name: str, trials: int, seed: int, pause: float) -> None:
    """One worker until the study is settled."""
    objective = Arithmetic(pause=pause)
    study = open_study(open_storage(url), name, objective, seed=seed)
    run_study(study, objective, trials=trials, seed=seed)


if __name__ == "__main__":
    with unsynced():
        work(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
