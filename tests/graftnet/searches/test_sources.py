"""With `search.sources = "all"` branches read the averages of all depths to the cut, from search to bundle."""

import json
from pathlib import Path

import pytest
import torch

from branches.saved import load_branch
from deployment.runtime import Runtime
from graftnet.bundles.tree import export_attributes, graft_attribute, kept_branches
from graftnet.project.folder import Project
from graftnet.searches.run import search_attribute
from reports import write_report
from tests.graftnet.searches.test_run import CONFIG, make_project

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    config = CONFIG.replace("[search]", '[search]\nsources = "all"')
    assert config != CONFIG
    project = make_project(tmp_path_factory.mktemp("sources"), 80, config)
    search_attribute(project, "bright", seed=0, device=CPU)
    return project


def test_the_record_knows_what_is_read_and_the_probe_of_all_depths_stands_beside(project: Project) -> None:
    folder = project.latest_search("bright")
    result = json.loads((folder / "result.json").read_text())
    channels = result["space_settings"]["sources"]
    depth = result["freeze_depth"]
    shapes = result["trunk"]["shapes"]
    assert channels == [shape[0] for shape in shapes[: depth - 1]]
    assert result["context"] == sum(channels)
    assert result["feature_shape"] == [shapes[depth - 1][0] + sum(channels), *shapes[depth - 1][1:]]
    values = len(result["values"])
    assert result["controls"]["joined_probe"]["parameters"] == (result["feature_shape"][0] + 1) * values
    assert result["controls"]["linear_probe"]["parameters"] == (shapes[depth - 1][0] + 1) * values
    assert {"searched", "random", "probe", "joined_probe", "tail"} == set(kept_branches(folder))
    page = Path(write_report(folder)).read_text()
    assert "linear probe of all depths" in page
    assert f"+ {sum(channels)} averages" in page


@pytest.mark.parametrize("choice", [None, "joined_probe", "probe", "tail"])
def test_each_kind_is_grafted_and_exported(project: Project, choice: str | None) -> None:
    graft_attribute(project, "bright", choice)
    module, record = load_branch(project.tree / "bright")
    assert bool(record.sources) == (choice in (None, "joined_probe"))
    bundle = export_attributes(project, ["bright"], project.exports / f"bundle-{choice}")
    assert all(check["ok"] for check in Runtime(bundle).verify())
    assert module.training is False
