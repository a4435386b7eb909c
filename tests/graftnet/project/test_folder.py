"""Project folders: found from inside, their sub-datasets, searches and trunk."""

import json
import os
from pathlib import Path

import pytest

from graftnet.errors import ConfigError
from graftnet.project.folder import Project, open_project
from graftnet.project.toml_edit import write_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    write_project(tmp_path / "people")
    return open_project(tmp_path / "people")


def test_found_from_a_folder_inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = project.folder / "data" / "deep"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert open_project() == project
    assert project.config.project.name == "people"


def test_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="graftnet init"):
        open_project()
    with pytest.raises(ConfigError, match="graftnet init"):
        open_project(tmp_path)


def test_new_project_ignores_runs_and_is_not_overwritten(project: Project) -> None:
    assert (project.folder / ".gitignore").read_text(encoding="utf-8") == "runs/\n"
    assert project.data.is_dir()
    with pytest.raises(ConfigError, match="is there already"):
        write_project(project.folder)


def test_folders_follow_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "graftnet.toml").write_text("[project]\ndata = 'labels'\nruns = '/elsewhere'\n", encoding="utf-8")
    project = open_project(tmp_path)
    assert project.data == tmp_path / "labels"
    assert project.searches("bald") == Path("/elsewhere/searches/bald")


def test_sources_are_csv_files_and_folders_but_not_the_images(project: Project) -> None:
    (project.data / "bald.csv").touch()
    (project.data / "notes.txt").touch()
    for name in ("backpack", "images", ".hidden"):
        (project.data / name).mkdir()
    assert project.sources() == {"backpack": project.data / "backpack", "bald": project.data / "bald.csv"}
    with pytest.raises(ConfigError, match=r"no sub-dataset for 'bold'; did you mean bald\?"):
        project.source("bold")


def test_two_sub_datasets_of_one_name_are_refused(project: Project) -> None:
    (project.data / "bald.csv").touch()
    (project.data / "bald").mkdir()
    with pytest.raises(ConfigError, match="keep one"):
        project.sources()


def test_latest_search_is_the_newest_finished_one(project: Project) -> None:
    for age, name in enumerate(["new", "old"]):
        folder = project.searches("bald") / name
        folder.mkdir(parents=True)
        (folder / "result.json").touch()
        os.utime(folder / "result.json", (1000 - age, 1000 - age))
    running = project.searches("bald") / "running"
    running.mkdir()
    (running / "history.jsonl").touch()
    assert [folder.name for folder in project.results("bald")] == ["old", "new"]
    assert project.latest_search("bald").name == "new"


def test_running_search_counts_when_none_is_finished(project: Project) -> None:
    running = project.searches("bald") / "running"
    running.mkdir(parents=True)
    (running / "history.jsonl").touch()
    assert project.latest("bald") == running


def test_attribute_without_search(project: Project) -> None:
    with pytest.raises(ConfigError, match="graftnet data import"):
        project.latest_search("bald")
    (project.data / "bald.csv").touch()
    with pytest.raises(ConfigError, match="graftnet search bald"):
        project.latest_search("bald")


def test_current_trunk(project: Project) -> None:
    with pytest.raises(ConfigError, match="graftnet trunk train"):
        _ = project.current_trunk
    (project.trunks / "v1").mkdir(parents=True)
    project.current_trunk_file.write_text(json.dumps({"version": "v1"}), encoding="utf-8")
    assert project.current_trunk == project.trunks / "v1"
    (project.trunks / "v1").rmdir()
    with pytest.raises(ConfigError, match="names trunk v1"):
        _ = project.current_trunk
