"""Progress on a terminal and elsewhere."""

import io

import pytest

from graftnet.terminal.output import PlainLines, format_figures, format_seconds, show_progress


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_come_at_the_ends_and_every_ten_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    lines = PlainLines(stream, clock)
    for done in range(1, 31):
        clock.now += 1
        lines("search", done, 30, {"reward": done / 40})
    lines("retrain", 0, 2, {})
    lines("retrain", 2, 2, {"val_score": 0.98765})
    assert stream.getvalue().splitlines() == [
        "search 1/30, reward 0.025",
        "search 11/30, reward 0.275, 19 s left",
        "search 21/30, reward 0.525, 9 s left",
        "search 30/30, reward 0.75",
        "retrain 0/2",
        "retrain 2/2, val score 0.9877",
    ]


def test_stages_of_one_group_begin_silently_and_count_their_own_time() -> None:
    stream, clock = io.StringIO(), Clock()
    lines = PlainLines(stream, clock)
    for stage in ("retrain a", "retrain b"):
        for done in (1, 2, 3):
            clock.now += 6
            lines(stage, done, 3, {})
    assert stream.getvalue().splitlines() == [
        "retrain a 1/3",
        "retrain a 3/3",
        "retrain b 2/3, 6 s left",
        "retrain b 3/3",
    ]


def test_time_left_counts_from_where_a_resumed_run_began() -> None:
    stream, clock = io.StringIO(), Clock()
    lines = PlainLines(stream, clock)
    lines("trunk", 900, 1000, {})
    clock.now = 50.0
    lines("trunk", 950, 1000, {})
    assert stream.getvalue().splitlines()[-1] == "trunk 950/1000, 50 s left"


def test_terminal_shows_a_bar_per_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with show_progress(stream) as progress:
        progress("trunk", 3, 10, {"loss": 0.5})
        progress("search", 1, 4, {"reward": 0.75})
        progress("search", 4, 4, {"reward": 0.9})
        progress("search again", 1, 6, {})
    shown = stream.getvalue()
    assert "trunk" in shown
    assert "3/10" in shown
    assert "loss 0.5" in shown
    assert "1/6" in shown


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7440, "2 h 4 min")]
)
def test_format_seconds(seconds: float, expected: str) -> None:
    assert format_seconds(seconds) == expected


def test_format_figures() -> None:
    assert format_figures({"best_reward": 0.91234, "step": 12.0}) == "best reward 0.9123, step 12"
