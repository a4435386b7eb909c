"""Curves for TensorBoard: read back as they were recorded, once each, however often the search was continued."""

import io
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Mapping
from functools import partialmethod
from pathlib import Path

import pytest
from rich.progress import Progress

from foundation.history import read_history
from graftnet.cli import run
from nas.enas import Search
from nas.tensorboard import FOLDER, Follower, Scalar, ScalarLog, scalars
from reports.result_schema import check_result
from tests.graftnet.searches.test_run import make_project
from tests.reports.search_folder import write_search

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs the extra tensorboard"
)


def read_back(folder: Path) -> list[Scalar]:
    """Every scalar in the event files of a folder."""
    found = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return [Scalar(tag, event.step, event.value) for tag in found.Tags()["scalars"] for event in found.Scalars(tag)]


def agree(found: list[Scalar], expected: list[Scalar]) -> None:
    """The same points, to the precision of an event (float32), each once."""
    by_place = {(point.tag, point.step): point.value for point in expected}
    assert len(by_place) == len(expected) == len(found) > 0
    for point in found:
        assert math.isclose(point.value, by_place[point.tag, point.step], rel_tol=1e-6)


@pytest.fixture
def search(tmp_path: Path) -> Path:
    return write_search(tmp_path / "s1", epochs=3, updates=2, proposals=6, retrained=2)


def test_points_of_a_history(search: Path) -> None:
    history = read_history(search / "history.jsonl")
    found = list(scalars(history))
    assert Scalar("search/loss", 2, history[3]["loss"]) in found
    assert Scalar("controller/reward", 3, history[4]["reward"]) in found  # the first of the second epoch
    tags = Counter(point.tag for point in found)
    assert tags["controller/entropy"] == 6
    assert tags["candidates/score"] == 6
    retrained = next(record for record in history if record["kind"] == "retraining")
    assert tags[f"retraining candidate/{retrained['identity']}/val_score"] == 12
    assert len({(point.tag, point.step) for point in found}) == len(found)


def test_records_that_come_are_added_and_records_that_were_cut_back_are_forgotten(search: Path) -> None:
    path = search / "history.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    log = ScalarLog(search)
    for kept in (2, 3, 5):
        path.write_text("".join(lines[:kept]) + '{"kind": "child_ep')  # and half a line
        log.look()
    agree(read_back(search / FOLDER), list(scalars([json.loads(line) for line in lines[:5]])))
    changed = [json.dumps(json.loads(line) | {"loss": 9.0, "reward": 0.5}) + "\n" for line in lines[3:]]
    path.write_text("".join(lines[:3] + changed))  # continued from a checkpoint after the first epoch
    log.look()
    log.close()
    agree(read_back(search / FOLDER), list(scalars(read_history(path))))
    again = ScalarLog(search)  # another process
    again.look()
    again.close()
    agree(read_back(search / FOLDER), list(scalars(read_history(path))))


def test_a_follower_looks_now_and_then_and_passes_the_progress_on(search: Path) -> None:
    now, heard, looks = [0.0], [], []
    follower = Follower(lambda: now[0])

    def progress(stage: str, done: int, _total: int, _figures: Mapping[str, float]) -> None:
        heard.append((stage, done))

    observed = follower.observe(search, progress)
    assert follower.log is not None
    follower.log.look = lambda: looks.append(now[0])  # type: ignore[method-assign]
    for done in range(5):
        observed("search", done, 5, {})
        now[0] += 0.5
    assert heard == [("search", done) for done in range(5)]
    assert looks == [0.0, 1.0, 2.0]


class Terminal(io.StringIO):
    """Standard error as a person sees it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A search with --tensorboard, interrupted in its second epoch and continued: its folder, and the terminal."""
    home, terminal = tmp_path_factory.mktemp("continued"), Terminal()
    make_project(home, 60)
    settings = home / "graftnet.toml"
    more = "[retrain]\nepochs = 4"  # of two, the second ends before the pace of one is known
    settings.write_text(settings.read_text().replace("[retrain]\nepochs = 2", more))
    call = ["search", "bright", "--tensorboard", "--device", "cpu", "--project", str(home)]
    save = Search.save

    def interrupted(self: Search) -> None:
        if self.epoch == 2:  # its records are written, its checkpoint is not
            raise KeyboardInterrupt
        save(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "140")
        patch.setattr("nas.tensorboard.LOOK_EVERY", 0.0)
        patch.setattr("graftnet.terminal.timing.LEAST", 0.0)  # the stages of so small a search are over by then
        # Drawn at every step, not ten times a second: so small a search may be over in between.
        patch.setattr(Progress, "update", partialmethod(Progress.update, refresh=True))
        patch.setattr(sys, "stderr", terminal)
        with patch.context() as inner:
            inner.setattr(Search, "save", interrupted)
            assert run(call) == 130
        assert run(call) == 0
    (result,) = home.glob("runs/searches/bright/*/result.json")
    return result.parent, terminal.getvalue()


def test_a_search_that_was_interrupted_and_continued_has_no_step_twice(continued: tuple[Path, str]) -> None:
    folder, shown = continued
    agree(read_back(folder / FOLDER), list(scalars(read_history(folder / "history.jsonl"))))
    assert f"tensorboard --logdir {folder / FOLDER}" in shown.replace("\n", "")
    check_result(folder / "result.json")


def test_a_terminal_shows_how_far_each_stage_is_and_how_well_it_does(continued: tuple[Path, str]) -> None:
    _, shown = continued
    for stage, figure in (
        ("search", "loss 0."),
        ("search", "reward "),
        ("retrain", "val score "),
        ("tail", "val score "),
    ):
        lines = [line for line in re.split(r"[\r\n]", shown) if stage in line and figure in line]
        assert lines, (stage, figure)
        assert any(re.search(r"\d+/\d+", line) for line in lines)
    assert "left" in shown
    assert "Stopped. What is done is kept; call the same command again to continue." in shown


def test_without_the_package_and_with_no_attribute_a_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "graftnet.toml").write_text("")
    (tmp_path / "data" / "bright").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert run(["search", "--all", "--tensorboard"]) == 2
    assert "name it: graftnet search ATTR --tensorboard" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert run(["search", "bright", "--tensorboard", "--device", "cpu"]) == 2
    assert "pip install 'graftnet[tensorboard]'" in capsys.readouterr().err
