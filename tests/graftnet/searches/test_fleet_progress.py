"""The fleet's display: lines that name their attribute, or a bar for the fleet and one per running attribute."""

import io
from pathlib import Path

import pytest

from graftnet.searches.queue import Began, Job, Message, Outcome, Step, Throttle
from graftnet.searches.search_all import FleetLines, show_fleet
from graftnet.searches.standing import Standing
from tests.graftnet.terminal.test_output import Clock

JOBS = [
    Job("bald", standing=Standing("missing")),
    Job("cap", error="cap.csv: the train split has no image of value 'no'."),
    Job("hat", standing=Standing("stale", ("its data changed",))),
    Job("old", standing=Standing("current")),
]
FOLDER = Path("somewhere")


def test_lines_name_the_attribute_and_count_the_fleet() -> None:
    stream, clock = io.StringIO(), Clock()
    display = FleetLines(stream, clock)
    display.progress("features", 640, 640, {})
    display.start(JOBS, 2)
    display.take(Began("bald", "node 1"))
    display.take(Step("bald", "search", 1, 4, {"reward": 0.5}))
    display.take(Began("hat", "node 2"))
    display.take(Step("hat", "search", 1, 4, {}))
    clock.now = 30
    display.take(Outcome("bald", FOLDER, FOLDER, seconds=29.6))
    display.take(Began("hat", "node 3"))
    display.take(Step("hat", "search", 3, 4, {}))
    display.take(Outcome("hat", error="The disk is full."))
    assert stream.getvalue().splitlines() == [
        "features 640/640",
        "cap cannot be searched: cap.csv: the train split has no image of value 'no'.",
        "hat is searched anew (its data changed).",
        "2 of 4 attributes to search, 1 have a current result.",
        "bald: search 1/4, reward 0.5",
        "hat: search 1/4",
        "bald: done in 30 s (1 of 2 attributes, 30 s left)",
        "hat: its worker (node 2) died; it continues in another (node 3).",
        "hat: search 3/4, 15 s left",
        "hat: failed: The disk is full. (2 of 2 attributes)",
    ]


def test_a_terminal_shows_the_fleet_and_who_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    stream = Terminal()
    with show_fleet(stream) as display:
        display.progress("features", 3, 10, {})
        display.start(JOBS, 2)
        for attribute in ("bald", "hat[red]"):
            display.take(Step(attribute, "search", 3, 8, {"reward": 0.75}))
        display.take(Outcome("bald", FOLDER, FOLDER, seconds=2.0))
    last = stream.getvalue().rpartition("attributes ")[2]
    assert "1/2" in last
    assert "hat[red]" in last
    assert "reward 0.75" in last
    assert "bald" not in last
    assert "all images" not in last
    assert "bald: done in 2 s (1 of 2 attributes" in stream.getvalue()
    assert "hat is searched anew (its data changed)." in stream.getvalue()


def test_between_the_ends_of_a_stage_few_steps_are_sent() -> None:
    sent: list[Message] = []
    clock = Clock()
    progress = Throttle("bald", sent.append, clock)
    for done in range(1, 101):
        clock.now += 0.01
        progress("search", done, 100, {})
    progress("retrain", 1, 2, {"loss": 1})
    stages = [(step.stage, step.done) for step in sent if isinstance(step, Step)]
    assert stages[0] == ("search", 1)
    assert stages[-2:] == [("search", 100), ("retrain", 1)]
    assert 5 <= len(stages) <= 8
