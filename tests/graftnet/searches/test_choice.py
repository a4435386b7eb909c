"""What val chose is grafted and exported with its kind; another kind only where it is asked for."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from branches.saved import load_branch
from deployment.runtime import Runtime
from graftnet.bundles.tree import export_attributes, graft_attribute, kept_branches
from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.project.folder import Project, open_project
from graftnet.searches.run import search_attribute
from reports import write_report
from reports.summaries.comparison import methods
from reports.summaries.search import read_records
from tests.graftnet.searches.test_run import CONFIG, make_project

CPU = torch.device("cpu")
# So far from the best may be what is chosen that it is the cheapest of all: the probe.
CHEAPEST = CONFIG.replace('choice = "searched"', "choice_tolerance = 1e6")
FILES = {"searched": "branch", "random": "branch", "probe": "linear_probe", "tail": "tail"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chosen")
    search_attribute(make_project(folder, 80, CHEAPEST), "bright", seed=0, device=CPU)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    return open_project(Path(shutil.copytree(made, tmp_path / "copy", symlinks=True)))


def result_of(project: Project) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((project.latest_search("bright") / "result.json").read_text())
    return result


def test_a_probe_goes_all_the_way(project: Project) -> None:
    result = result_of(project)
    assert (result["kind"], result["advice"]["what"]) == ("probe", "probe")
    graft_attribute(project, "bright")
    assert load_branch(project.tree / "bright")[1].kind == "linear_probe"
    bundle = export_attributes(project, ["bright"], project.exports / "bundle")
    assert all(check["ok"] for check in Runtime(bundle).verify())
    record = json.loads((bundle / "bright" / "branch.json").read_text())
    assert record["architecture"] == {"linear_probe": True}
    card = (bundle / "bright" / "card.md").read_text()
    assert "The linear probe" in card
    assert f"| {result['test']['auroc']:.4f} |" in card


@pytest.mark.parametrize("choice", FILES)
def test_any_kind_can_be_asked_for(project: Project, choice: str) -> None:
    result = result_of(project)
    graft_attribute(project, "bright", choice)
    record = load_branch(project.tree / "bright")[1]
    assert record.kind == FILES[choice]
    key = {"probe": "linear_probe"}.get(choice, choice)
    figures = result if choice == "probe" else result["controls"][key]
    assert record.metrics["test"] == figures["test"]
    bundle = export_attributes(project, ["bright"], project.exports / "bundle")
    assert all(check["ok"] for check in Runtime(bundle).verify())
    card = (bundle / "bright" / "card.md").read_text()
    assert ("was grafted by choice" in card) == (choice != "probe")
    assert f"| {figures['test']['auroc']:.4f} |" in card


def test_the_command_takes_it_and_refuses_what_was_not_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.folder)
    assert run(["graft", "bright"]) == 0
    assert "Grafted bright: probe (" in capsys.readouterr().out
    assert run(["graft", "bright", "--choice", "searched"]) == 0
    assert "Grafted bright: searched (" in capsys.readouterr().out
    assert load_branch(project.tree / "bright")[1].kind == "branch"
    assert run(["graft", "bright", "--choice", "../branch"]) == 2
    said = capsys.readouterr().err
    assert "The search of bright kept no '../branch', only probe, random, searched, tail; name one of these" in said
    # A search from before there was a choice kept what it searched, and nothing else.
    search = project.latest_search("bright")
    shutil.rmtree(search / "choices")
    record = json.loads((search / "result.json").read_text())
    (search / "result.json").write_text(json.dumps({key: record[key] for key in record if key != "kind"}))
    assert list(kept_branches(search)) == ["searched"]
    with pytest.raises(ConfigError, match="kept no 'tail', only searched"):
        graft_attribute(project, "bright", "tail")


def test_the_report_says_what_to_ship(project: Project) -> None:
    search = project.latest_search("bright")
    page = write_report(search).read_text()
    result = result_of(project)
    assert f"{result['advice']['action'].capitalize().split(',')[0]}" in page
    assert "The result is the linear probe" in page
    assert "searched branch" in page
    shown = [method.key for method in methods(read_records(search))]
    assert shown == ["winner", "searched", "random", "tail"]  # each once
