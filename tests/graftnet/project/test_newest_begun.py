"""Of the searches that have begun the newest is the one whose record says so, whatever times a copy's files have."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from graftnet.pages.write import newest_begun
from graftnet.project.folder import Project, open_project
from graftnet.project.toml_edit import write_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    write_project(tmp_path / "people")
    return open_project(tmp_path / "people")


def begin(project: Project, name: str, at: int, **config: Any) -> Path:
    """An unfinished search whose files were written `at` that second."""
    folder = project.searches("bald") / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "history.jsonl").touch()
    for path in folder.iterdir():
        os.utime(path, (at, at))
    return folder


RECORDED: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"sequence": 1, "created": "2026-11-30T12:00:00"}, {"sequence": 2, "created": "2026-11-30T11:00:00"}),
    ({"sequence": 4, "created": "2026-11-30T11:00:00"}, {"sequence": 4, "created": "2026-11-30T11:00:01"}),
    ({}, {"created": "2020-01-01T00:00:00"}),
    ({"sequence": True, "created": "2020"}, {"created": "2021"}),
    ({"sequence": 2**60, "created": "2030"}, {"sequence": 1}),
)


@pytest.mark.parametrize(("older", "newer"), RECORDED)
@pytest.mark.parametrize("times", list(itertools.permutations((1000, 2000))))
def test_what_is_recorded_orders_unfinished_searches(
    older: dict[str, Any], newer: dict[str, Any], times: tuple[int, int], project: Project
) -> None:
    folders = [begin(project, "z", times[0], **older), begin(project, "a", times[1], **newer)]
    assert project.begun("bald") == folders
    assert project.latest("bald") == newest_begun(project, "bald") == folders[1]


def test_the_next_search_comes_behind_those_that_have_begun(project: Project) -> None:
    assert project.next_in_sequence("bald") == 1
    begin(project, "a", 1000, sequence=3)
    finished = begin(project, "b", 2000, sequence=1)
    (finished / "result.json").write_text('{"sequence": 2}')
    assert project.next_in_sequence("bald") == 4
    assert [project.next_in_sequence("bald", finished.with_name(name)) for name in "ab"] == [3, 4]
    assert project.latest("bald") == finished
    assert newest_begun(project, "bald") == finished.with_name("a")


def test_a_search_without_a_config_counts_by_its_file(project: Project) -> None:
    for name, at in (("a", 2000), ("b", 1000)):
        (begin(project, name, at) / "config.json").unlink()
    assert [folder.name for folder in project.begun("bald")] == ["b", "a"]


def test_a_damaged_config_is_the_newest_so_that_it_is_heard_of(project: Project) -> None:
    damaged = begin(project, "a", 1000)
    (damaged / "config.json").write_text("{")
    begin(project, "b", 2000, sequence=7)
    assert project.latest("bald") == damaged
