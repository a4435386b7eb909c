"""An attribute is searched again when what defines its search changed, and the user hears what that was."""

import json
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from graftnet.project.folder import Project, open_project
from graftnet.searches.plan import SearchPlan
from graftnet.searches.run import carry_out, plan_search
from graftnet.searches.standing import changes_since, standing_of
from graftnet.trunks.versions import open_trunk, use_trunk
from tests.graftnet.searches.test_run import forbid, make_project

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with data and a trunk, not searched."""
    folder = tmp_path_factory.mktemp("standing")
    make_project(folder, 80)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    return open_project(Path(shutil.copytree(made, tmp_path / "copy")))


def plan_of(project: Project, seed: int = 0) -> SearchPlan:
    project = open_project(project.folder)
    return plan_search(project, open_trunk(project, CPU), "bright", seed=seed, device=CPU)


def pretend_finished(plan: SearchPlan) -> None:
    """What a finished search leaves, as far as a standing depends on it."""
    plan.folder.mkdir(parents=True)
    config = {**plan.identity, "data": {"digest": plan.identity["data"], "counts": {}}}
    (plan.folder / "config.json").write_text(json.dumps(config))
    (plan.folder / "result.json").write_text("{}")


def edit(project: Project, old: str, new: str) -> None:
    path = project.folder / "graftnet.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def another_label(project: Project) -> None:
    source = project.source("bright")
    source.write_text(source.read_text().replace(",no,", ",yes,", 1))


def another_value(project: Project) -> None:
    """One image of each split gets a third value."""
    source = project.source("bright")
    text = source.read_text()
    for split in ("train", "val", "test"):
        text = text.replace(f",no,{split}", f",maybe,{split}", 1)
    source.write_text(text)


def another_order(project: Project) -> None:
    source = project.source("bright")
    head, first, second, *rest = source.read_text().splitlines()
    source.write_text("\n".join([head, second, first, *rest]) + "\n")


def another_trunk(project: Project) -> None:
    weights = load_file(project.current_trunk / "weights.safetensors")
    weights["block0.0.weight"] = weights["block0.0.weight"] + 0.01
    save_file(weights, project.folder / "other.safetensors")
    use_trunk(project, str(project.folder / "other.safetensors"))


def other_settings(project: Project) -> None:
    edit(project, "epochs = 2\nrepeats = 2", "epochs = 3\nrepeats = 1")
    edit(project, "widths = [4]", "widths = [4, 8]")


def another_reward(project: Project) -> None:
    edit(project, "candidates = 4", 'candidates = 4\nreward = "accuracy"')


def no_tail(project: Project) -> None:
    edit(project, "tail_epochs = 1", "tail = false")


def no_other_control(project: Project) -> None:
    edit(project, "tail_epochs = 1", "tail_epochs = 1\nrandom = false\nlinear_probe = false")


def another_depth(project: Project) -> None:
    edit(project, "freeze_depth = 4", "freeze_depth = 3")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (another_label, ("its data changed",)),
        (another_order, ("its images are in another order",)),
        (other_settings, ("retrain.epochs 2 -> 3", "retrain.repeats 2 -> 1", "search.widths [4] -> [4, 8]")),
        (another_reward, ('search.reward "auroc" -> "accuracy"',)),
        (no_tail, ("controls.tail is now off",)),
        (no_other_control, ("controls.random true -> false", "controls.linear_probe true -> false")),
        (another_depth, ("trunk.freeze_depth 4 -> 3",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_stale_result_says_what_changed(change: Any, expected: tuple[str, ...], project: Project) -> None:
    pretend_finished(plan_of(project))
    change(project)
    standing = standing_of(plan_of(project))
    assert standing.state == "stale"
    assert standing.reasons == expected
    assert standing.sentence("bright") == f"bright is searched anew ({'; '.join(expected)})."


def test_a_changed_trunk_and_values_are_named(project: Project) -> None:
    before = plan_of(project)
    pretend_finished(before)
    another_trunk(project)
    another_value(project)
    plan = plan_of(project, seed=1)
    assert standing_of(plan).reasons == (
        "its values were no, yes and are maybe, no, yes",
        "its data changed",
        f"trunk {before.identity['fingerprint'][:8]} -> {plan.identity['fingerprint'][:8]}",
        "seed 0 -> 1",
    )


def test_missing_unfinished_current(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid("trunk.trunk.Trunk.capture", monkeypatch)
    plan = plan_of(project)
    assert standing_of(plan) == ("missing", ())
    plan.folder.mkdir(parents=True)
    assert standing_of(plan) == ("unfinished", ())
    plan.folder.rmdir()
    pretend_finished(plan)
    assert standing_of(plan_of(project)) == ("current", ())


def test_settings_that_an_earlier_version_did_not_have(project: Project) -> None:
    plan = plan_of(project)
    pretend_finished(plan)
    path = plan.folder / "config.json"
    config = json.loads(path.read_text())
    del config["settings"]["search"]["hidden"]
    config["settings"]["search"]["gone"] = 1
    path.write_text(json.dumps(config))
    assert changes_since(plan.folder, plan.identity) == ("search.hidden unset -> 8", "search.gone 1 -> unset")
    path.write_text("{}")
    assert "cannot be read" in changes_since(plan.folder, plan.identity)[0]


def test_settings_that_are_taken_back_find_the_old_result_and_make_it_the_newest(project: Project) -> None:
    first = plan_of(project)
    pretend_finished(first)
    edit(project, "retrain_top = 2", "retrain_top = 1")
    second = plan_of(project)
    pretend_finished(second)
    assert project.latest("bright") == second.folder
    edit(project, "retrain_top = 1", "retrain_top = 2")
    again = plan_of(project)
    assert standing_of(again).state == "current"
    assert carry_out(again, device=CPU) == first.folder
    assert project.latest("bright") == first.folder


@pytest.mark.parametrize("space", ["macro", "micro"])
def test_a_plan_can_be_sent_to_another_process(project: Project, space: str) -> None:
    config = project.folder / "graftnet.toml"
    config.write_text(config.read_text().replace("[search]\n", f'[search]\nspace = "{space}"\n'))
    project = open_project(project.folder)
    plan = plan_of(project)
    assert plan.settings.space.name == space
    queue: multiprocessing.Queue[SearchPlan] = multiprocessing.Queue()
    queue.put(plan)
    assert queue.get(timeout=60) == plan
    known = plan_search(project, open_trunk(project, CPU), "bright", seed=0, device=CPU, hashes=plan.hashes)
    assert known == plan


def test_a_trunk_that_changed_after_planning_is_refused(project: Project) -> None:
    plan = plan_of(project)
    another_trunk(project)
    with pytest.raises(ValueError, match=r"was planned on trunk .* call again to plan anew"):
        carry_out(plan, device=CPU)
