"""`graftnet report ATTR --watch`: the page follows the records, asks to be loaded again, and stops asking."""

import json
import os
from pathlib import Path

import pytest

from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.pages.write import watch
from graftnet.project.folder import Project, open_project
from tests.reports.search_folder import write_search

REFRESH = 'http-equiv="refresh"'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "graftnet.toml").write_text("")
    (tmp_path / "data" / "bald").mkdir(parents=True)
    return open_project(tmp_path)


class Running:
    """A search that goes on, a step whenever the watcher sleeps: it begins, writes records, and finishes."""

    def __init__(self, project: Project) -> None:
        self.folder = project.searches("bald") / "s1"
        whole = write_search(project.folder / "whole", epochs=3, updates=1, proposals=4, retrained=1)
        self.lines = (whole / "history.jsonl").read_text().splitlines(keepends=True)
        self.result = (whole / "result.json").read_text()
        self.shown: list[str] = []
        self.naps = 0

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text(encoding="utf-8")

    def sleep(self, _seconds: float) -> None:
        self.naps += 1
        if self.naps == 1:
            self.folder.mkdir(parents=True)
            (self.folder / "history.jsonl").write_text("".join(self.lines[:2]))
        elif self.naps in (2, 3, 4):
            self.shown.append(self.page)
            if self.naps != 3:  # nothing new the third time
                (self.folder / "history.jsonl").write_text("".join(self.lines[: 2 * self.naps]))
        else:
            self.shown.append(self.page)
            (self.folder / "result.json").write_text(self.result)


def test_the_page_follows_the_records_until_the_end(project: Project) -> None:
    said: list[str] = []
    running = Running(project)
    page = watch(project, "bald", every=7, say=said.append, wait=running.sleep)
    assert page == running.folder / "report.html"
    assert running.naps == 5
    assert said[0].startswith("The search of bald has not begun")
    assert str(page) in said[1]
    assert all(f'{REFRESH} content="7"' in one and "Not finished yet" in one for one in running.shown)
    first, second, third, _ = running.shown
    assert first != second == third
    assert "1 child epoch," in first
    assert "2 child epochs," in second
    assert REFRESH not in running.page
    assert "Not finished yet" not in running.page


def test_a_page_that_nobody_writes_any_more_does_not_ask_to_be_loaded(project: Project) -> None:
    running = Running(project)
    running.sleep(0)

    def interrupt(_seconds: float) -> None:
        assert REFRESH in running.page
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(project, "bald", every=1, say=print, wait=interrupt)
    assert REFRESH not in running.page
    assert "Not finished yet" in running.page


def test_the_search_that_wrote_last_is_watched(project: Project) -> None:
    old = write_search(project.searches("bald") / "old", epochs=1, proposals=4, retrained=1)
    running = Running(project)
    running.sleep(0)
    os.utime(old / "history.jsonl", (1, 1))
    running.naps = 4
    assert watch(project, "bald", every=1, say=print, wait=running.sleep).parent == running.folder


def test_the_command_ends_with_the_search(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.folder)
    folder = write_search(project.searches("bald") / "s1", epochs=1, proposals=4, retrained=1)
    assert run(["report", "bald", "--watch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["reports"] == {"bald": str(folder / "report.html")}
    assert (folder / "card.md").exists()
    (folder / "result.json").unlink()

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graftnet.pages.write.watch.__kwdefaults__", {"wait": interrupt})
    assert run(["report", "bald", "--watch"]) == 130


def test_calls_that_cannot_be_are_refused(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--project", str(project.folder)]
    for call, said in (
        (["--watch"], "name it: graftnet report ATTR --watch"),
        (["bald", "--every", "3"], "--every goes with --watch"),
        (["bald", "--watch", "--compare", "a", "b"], "do not go together"),
    ):
        assert run(["report", *call, *where]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(ConfigError, match="did you mean bald"):
        watch(project, "bold", every=1, say=print)
