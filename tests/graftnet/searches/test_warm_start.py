"""Warm starts in a project: which searches are sources, what is recorded, what a search that has begun keeps."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from graftnet.errors import ConfigError
from graftnet.project.folder import Project, open_project
from graftnet.project.overrides import Overrides, overridden
from graftnet.searches.plan import SearchPlan
from graftnet.searches.run import carry_out, plan_search, search_attribute
from graftnet.searches.warm_start import suitable, warmed, with_sources
from graftnet.trunks.versions import open_trunk
from nas.warm_start import checksum
from tests.graftnet.searches.test_run import made  # noqa: F401 - a fixture

CPU = torch.device("cpu")


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:  # noqa: F811
    """Bright is searched, corner is not; the setting is on."""
    folder = Path(shutil.copytree(made, tmp_path / "copy", symlinks=True))
    shutil.rmtree(folder / "runs" / "searches" / "corner")
    config = folder / "graftnet.toml"
    warm = "[search]\nwarm_start = true\nwarm_epochs = 2\nwarm_warmup_epochs = 0\n"
    config.write_text(config.read_text().replace("[search]\n", warm))
    return open_project(folder)


def plan_of(project: Project, attribute: str) -> SearchPlan:
    return plan_search(project, open_trunk(project, CPU), attribute, seed=0, device=CPU)


def read(folder: Path, name: str = "result.json") -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / name).read_text())
    return value


def test_a_warm_search_records_its_sources_and_stays_current(project: Project) -> None:
    source = project.results("bright")[-1]
    folder = search_attribute(project, "corner", seed=0, device=CPU)
    expected = [{"attribute": "bright", "search": source.name, "checksum": checksum(source)}]
    for record in (read(folder), read(folder, "config.json")):
        assert record["warm_start"] == expected
        assert record["start"] == "Started warm, from the searches of bright."
    assert read(folder, "config.json")["settings"]["search"]["epochs"] == 2
    assert read(folder, "config.json")["settings"]["search"]["warmup_epochs"] == 0
    # Another result of the source does not make it stale; nor does a source that is gone.
    shutil.rmtree(source)
    assert plan_of(project, "corner").finished
    assert search_attribute(project, "corner", seed=0, device=CPU) == folder
    # Cold and warm are different searches.
    assert plan_of(overridden(project, Overrides(warm_start=False)), "corner").folder != folder


def test_a_cold_result_is_current_until_forced(project: Project) -> None:
    cold = project.results("bright")[-1]
    other = search_attribute(overridden(project, Overrides(warm_start=False)), "corner", seed=0, device=CPU)
    assert search_attribute(project, "bright", seed=0, device=CPU) == cold
    warm = search_attribute(project, "bright", seed=0, device=CPU, force=True)
    assert warm != cold
    assert read(warm)["warm_start"][0]["search"] == other.name
    assert plan_of(project, "bright").folder == warm


def test_without_a_source_the_search_starts_cold_and_says_so(project: Project) -> None:
    shutil.rmtree(project.runs / "searches" / "bright")
    plan = warmed(plan_of(project, "corner"))
    assert "warm_start" not in plan.identity
    assert plan.folder == plan_of(overridden(project, Overrides(warm_start=False)), "corner").folder
    assert "Started cold" in read(carry_out(plan, device=CPU))["start"]


@pytest.mark.parametrize("part", ["fingerprint", "freeze_depth", "space_settings", "feature_precision"])
def test_a_search_of_another_trunk_or_space_is_no_source(project: Project, part: str) -> None:
    path = project.results("bright")[-1] / "config.json"
    plan = plan_of(project, "corner")
    assert len(suitable(plan)) == 1
    path.write_text(json.dumps({**json.loads(path.read_text()), part: "another"}))
    assert suitable(plan) == []


def test_a_search_that_has_begun_keeps_what_it_began_with(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(search_attribute(project, "corner", seed=0, device=CPU))
    begun = project.results("corner")[-1]
    shutil.rmtree(begun)

    class KilledError(BaseException):
        pass

    def kill(*_arguments: object, **_options: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr("nas.enas.Search.train_child", kill)
        with pytest.raises(KilledError):
            search_attribute(project, "corner", seed=0, device=CPU)
    shutil.rmtree(project.runs / "searches" / "bright")
    resumed = search_attribute(project, "corner", seed=0, device=CPU)
    assert resumed == begun
    assert {key: read(resumed)[key] for key in ("architecture", "val", "repeats")} == {
        key: whole[key] for key in ("architecture", "val", "repeats")
    }


def test_a_source_that_changed_before_the_search_began_is_refused(project: Project) -> None:
    plan = warmed(plan_of(project, "corner"))
    shutil.rmtree(project.runs / "searches" / "bright")
    with pytest.raises(ConfigError, match="gone or has changed"):
        carry_out(plan, device=CPU)


def test_the_warm_up_must_leave_an_epoch(project: Project) -> None:
    config = project.folder / "graftnet.toml"
    config.write_text(config.read_text().replace("warm_warmup_epochs = 0", "warm_warmup_epochs = 2"))
    with pytest.raises(ConfigError, match="warm_warmup_epochs must be less"):
        plan_of(open_project(project.folder), "corner")


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_that_have_begun_the_one_recorded_last_is_continued(project: Project, swapped: bool) -> None:
    """After a copy, the times of files say nothing."""
    project = overridden(project, Overrides(warm_start=True))
    plan = plan_of(project, "corner")
    config = read(project.results("bright")[-1], "config.json")
    folders = []
    for number, checksums in enumerate(("a" * 64, "b" * 64)):
        sources = [{"attribute": "bright", "search": "one", "checksum": checksums}]
        folder = with_sources(plan, sources).folder
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({**config, "warm_start": sources, "sequence": 2 - number}))
        when = 1000 + (1 - number if swapped else number)
        os.utime(folder / "config.json", (when, when))
        folders.append(folder)
    assert plan_of(project, "corner").folder == folders[0]
