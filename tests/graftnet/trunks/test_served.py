"""graftnet trunk status, and what is served: labels counted, versions listed, projects from before there were trees."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from graftnet.cli import run
from graftnet.project.folder import Project, open_project
from graftnet.trunks.served import Served, grafted, history, roll_back, serve, served, versions
from graftnet.trunks.versions import train_trunk, use_trunk
from tests.graftnet.grafts import KINDS, make_grafts, predictions, same
from tests.graftnet.searches.test_run import CONFIG

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_grafts(tmp_path_factory.mktemp("status") / "made")


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    return open_project(Path(shutil.copytree(made.folder, tmp_path / "copy", symlinks=True)))


def more_labels(project: Project, count: int) -> list[str]:
    names = [f"new{number}" for number in range(count)]
    for name in names:
        shutil.copy(project.data / "bright.csv", project.data / f"{name}.csv")
    return names


def status(project: Project, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["trunk", "status", "--project", str(project.folder), "--json"]) == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return record


def test_labels_are_counted_since_the_training_of_the_version_in_use(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    record = status(project, capsys)
    assert (record["advice"], record["added"], record["learnt"]) == ("wait", [], sorted(KINDS))
    names = more_labels(project, 5)
    record = status(project, capsys)
    assert (record["advice"], record["added"]) == ("due", names)
    more_labels(project, 7)
    assert status(project, capsys)["advice"] == "overdue"
    # What a version that is not in use has learnt does not count until the switch.
    train_trunk(project, seed=2, device=CPU)
    assert status(project, capsys)["advice"] == "overdue"
    newest = versions(project)[-1]["version"]
    serve(project, Served(newest, "trees/empty"))
    assert status(project, capsys)["added"] == []


def test_the_settings_decide_and_attributes_that_would_be_left_out_are_named(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    more_labels(project, 2)
    text = CONFIG.replace("[trunk]", '[trunk]\nretrain_due = 2\nretrain_overdue = 3\nattributes = ["bright", "new0"]')
    (project.folder / "graftnet.toml").write_text(text)
    record = status(project, capsys)
    assert (record["advice"], record["left_out"]) == ("due", ["new1"])
    assert run(["trunk", "status", "--project", str(project.folder)]) == 0
    shown = capsys.readouterr().out
    assert "leaves out new1; add them first" in shown
    assert "Next: graftnet trunk train, then graftnet trunk switch" in shown
    (project.folder / "graftnet.toml").write_text(text.replace("retrain_overdue = 3", "retrain_overdue = 1"))
    assert run(["trunk", "status", "--project", str(project.folder)]) == 2
    assert "trunk.retrain_overdue must be" in capsys.readouterr().err


def test_versions_are_listed_and_the_one_in_use_is_marked(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    record = status(project, capsys)
    assert len(record["versions"]) == 2
    assert record["version"] == served(project).version
    assert record["rollback"] is None
    (project.trunks / "half").mkdir()  # a training under way
    assert run(["trunk", "status", "--project", str(project.folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "in use" in line] == [record["version"]]
    assert not any("half" in line for line in lines)


def test_a_brought_trunk_remembers_what_it_learnt(project: Project, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "graftnet.toml").write_text(CONFIG)
    use_trunk(open_project(other), str(project.folder))
    (version,) = versions(open_project(other))
    assert version["attributes"] == sorted(KINDS)
    assert version["source"] == str(project.folder)


def test_a_project_from_before_there_were_trees_is_served_as_it_was(project: Project) -> None:
    expected, now = predictions(project), served(project)
    project.current_trunk_file.write_text(json.dumps({"version": now.version}))
    assert served(project) == now
    assert project.tree == project.runs / "tree"
    assert history(project) == []
    assert same(predictions(project), expected)
    other = next(one["version"] for one in versions(project) if one["version"] != now.version)
    (project.runs / "trees").mkdir()
    serve(project, Served(other, "trees/new"))
    assert grafted(project.tree) == {}
    assert roll_back(project) == (Served(other, "trees/new"), now)
    assert same(predictions(project), expected)


def test_what_is_gone_is_not_served_again(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    now = served(project)
    other = next(one["version"] for one in versions(project) if one["version"] != now.version)
    serve(project, Served(other, "trees/new"))
    (project.runs / "tree").rename(project.runs / "moved")
    assert run(["trunk", "rollback", "--project", str(project.folder)]) == 2
    assert f"{project.runs / 'tree'} is gone, so trunk {now.version} cannot be served again" in capsys.readouterr().err
    assert served(project).version == other


def test_a_mined_copy_is_no_new_label(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (name,) = more_labels(project, 1)
    assert status(project, capsys)["added"] == [name]
    project.mined(name).write_text("{}")
    assert status(project, capsys)["added"] == []
    assert name in project.sources()
    assert name not in project.questions()
    record = json.loads((train_trunk(project, seed=2, device=CPU) / "trunk.json").read_text())
    assert record["attributes"] == sorted(KINDS)


def test_a_trunk_on_which_nothing_was_grafted_can_be_served_again(project: Project) -> None:
    shutil.rmtree(project.tree)
    now = served(project)
    other = next(one["version"] for one in versions(project) if one["version"] != now.version)
    serve(project, Served(other, "trees/new"))
    assert roll_back(project)[1] == now
