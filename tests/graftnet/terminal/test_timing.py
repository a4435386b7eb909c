"""The time that a stage still takes: right to a factor of two from its first minute, whatever its first steps took."""

from collections.abc import Iterator

import numpy as np
import pytest

from graftnet.terminal.notebook import NotebookBars, in_notebook, notebook_progress
from graftnet.terminal.timing import Remaining


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told(seconds: Iterator[float]) -> list[tuple[float, float | None]]:
    """(time since the begin, what is said to be left) after every step of so many seconds."""
    clock = Clock()
    remaining, steps, said = Remaining(clock), list(seconds), []
    for done, duration in enumerate(steps, start=1):
        clock.now += duration
        remaining.hear(done)
        said.append((clock.now, remaining.left(len(steps))))
    return said


STEADY = [1.2] * 100
SLOW_START = [25.0, 5.0, *[0.3] * 300]  # compiling, filling caches: a minute of these once said 14 minutes for two
NOISY = list(np.random.default_rng(0).exponential(0.4, 400))
SLOWER = list(np.linspace(0.5, 1.0, 200))


@pytest.mark.parametrize("steps", [STEADY, SLOW_START, NOISY, SLOWER], ids=["steady", "slow start", "noisy", "slower"])
def test_within_a_factor_of_two_from_the_first_minute(steps: list[float]) -> None:
    said = told(iter(steps))
    whole = said[-1][0]
    wrong = [
        (at, left, whole - at)
        for at, left in said
        if at > 60 and whole - at > 5 and not (left is not None and (whole - at) / 2 <= left <= 2 * (whole - at))
    ]
    assert wrong == []


def test_nothing_is_said_before_anything_is_known() -> None:
    assert told(iter([0.5, 0.5, 0.5]))[0][1] is None
    clock = Clock()
    remaining = Remaining(clock)
    clock.now = 100.0
    remaining.begin(900)  # continued: what was done before is no pace
    remaining.hear(900)
    assert remaining.left(1000) is None
    clock.now = 110.0
    remaining.hear(910)
    assert remaining.left(1000) == 90
    clock.now = 110.5  # half of the next step has passed
    assert remaining.left(1000) == 89.5
    clock.now = 500.0  # it hangs, and is not said to be nearly done
    assert remaining.left(1000) == 89


def test_a_notebook_shows_a_bar_per_group_and_escapes_names() -> None:
    clock = Clock()
    shown: list[str] = []
    bars = NotebookBars(shown.append, clock)
    for done in range(1, 11):
        clock.now += 1
        bars("search <b>", done, 10, {"reward": 0.5})
    assert len(shown) == 10
    assert (
        "<code>search &lt;b&gt;</code> <progress value='5' max='10'></progress> 5/10, reward 0.5, 5 s left" in shown[4]
    )
    bars("retrain a", 0, 2, {})
    bars("retrain b", 0, 2, {})
    assert len(shown) == 10  # not more often than eyes see
    bars.show()
    assert shown[-1].count("<div>") == 2
    assert "retrain b" in shown[-1]


def test_outside_of_a_notebook_nothing_is_shown() -> None:
    assert not in_notebook()
    with notebook_progress(None) as heard:
        assert heard is None
