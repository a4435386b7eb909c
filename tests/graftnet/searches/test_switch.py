"""From one trunk to another: every branch or none, wherever it is killed; refused with the figures; taken back."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from branches.saved import load_branch, save_branch
from branches.tails import tail_branch
from graftnet.bundles.tree import graft_attribute
from graftnet.cli import run
from graftnet.commands.trunk import MAX_DROP
from graftnet.errors import ConfigError
from graftnet.project.folder import Project, open_project
from graftnet.project.settings import hand_settings, job_settings
from graftnet.searches.features import whole_data
from graftnet.searches.renew import recipe_of, renew
from graftnet.searches.switch import Prepared, change_over, prepare
from graftnet.trunks.served import Served, choose_version, grafted, served
from graftnet.trunks.versions import open_trunk, train_trunk
from search_spaces import tail_space
from tests.graftnet.grafts import DEPTH, KINDS, all_differ, make_grafts, predictions, same
from tests.graftnet.searches.test_run import forbid
from tests.nas.killing import KilledError
from trunk.errors import TrunkError

CPU = torch.device("cpu")
ANY_DROP = ("--max-drop", "1")  # the scores of a few pictures jump
# Where the process dies, in the order in which a switch gets there: a function, and the call of it that never returns.
KILLED_AT = (
    ("trunk.features.cache.FeatureCache.write", 1),
    ("nas.job.trainings.save_checkpoint", 2),
    ("graftnet.searches.renew.save_branch", 1),
    ("graftnet.searches.renew.write_json", 2),
    ("branches.grafting.GraftedNet.graft_saved", 2),
    ("graftnet.searches.switch.write_json", 1),
    ("graftnet.searches.switch.holding_tree", 1),
    ("graftnet.trunks.served.write_json", 1),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_grafts(tmp_path_factory.mktemp("switching") / "made")


@pytest.fixture(scope="module")
def switched(made: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same project, switched without being disturbed."""
    project = copied(made, tmp_path_factory.mktemp("switched"))
    change_over(project, prepared(project))
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    return copied(made, tmp_path)


@pytest.fixture
def ready(switched: Project, made: Project, tmp_path: Path) -> Project:
    """Not switched, but every branch is made anew already."""
    project = copied(made, tmp_path)
    version = choose_version(project, None)
    shutil.copytree(switched.trunks / version / "branches", project.trunks / version / "branches")
    return project


def copied(project: Project, place: Path) -> Project:
    return open_project(Path(shutil.copytree(project.folder, place / "copy", symlinks=True)))


def prepared(project: Project, *, search: bool = False) -> Prepared:
    return prepare(project, choose_version(project, None), search=search, seed=0, device=CPU)


def answered(project: Project, capsys: pytest.CaptureFixture[str], *command: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["trunk", *command, "--project", str(project.folder), "--json"]) == code
    record: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return record


def test_a_new_version_leaves_what_is_served(made: Project) -> None:
    first, second = sorted(path.parent.name for path in made.trunks.glob("*/trunk.json"))
    now = served(made)
    assert now.tree == "tree"
    assert {now.version, choose_version(made, None)} == {first, second}
    assert made.current_trunk.name == now.version
    assert {load_branch(folder)[1].fingerprint for folder in grafted(made.tree).values()} == {
        json.loads((made.current_trunk / "trunk.json").read_text())["fingerprint"]
    }


def test_every_branch_is_new_and_of_its_kind(made: Project, switched: Project) -> None:
    assert all_differ(predictions(made), predictions(switched))
    new = json.loads((switched.current_trunk / "trunk.json").read_text())["fingerprint"]
    for name, folder in grafted(switched.tree).items():
        record, before = load_branch(folder)[1], load_branch(made.tree / name)[1]
        assert (record.kind, record.fingerprint) == (KINDS[name], new)
        assert (record.architecture, record.values, record.freeze_depth) == (
            before.architecture,
            before.values,
            before.freeze_depth,
        )
    shown = json.loads((switched.tree / "switch.json").read_text())["branches"]
    assert {one["attribute"]: one["new"] for one in shown} == {
        name: load_branch(folder)[1].metrics for name, folder in grafted(switched.tree).items()
    }
    assert served(switched).tree == f"trees/{switched.current_trunk.name}-1"


def dying_at(monkeypatch: pytest.MonkeyPatch, name: str, call: int) -> None:
    """Make the process die in the ``call``-th call of a function, before it does anything."""
    module, _, attribute = name.rpartition(".")
    owner: Any = sys.modules.get(module) or getattr(sys.modules[module.rpartition(".")[0]], module.rpartition(".")[2])
    real, calls = getattr(owner, attribute), 0

    def die(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KilledError
        return real(*arguments, **options)

    monkeypatch.setattr(owner, attribute, die)


def test_killed_anywhere_the_old_tree_is_served_and_the_end_is_the_same(project: Project, switched: Project) -> None:
    before = predictions(project)
    for name, call in KILLED_AT:
        with pytest.MonkeyPatch.context() as patch:
            dying_at(patch, name, call)
            with pytest.raises(KilledError):
                change_over(project, prepared(project))
        assert same(predictions(project), before), f"killed in {name}"
        assert served(project).tree == "tree"
    change_over(project, prepared(project))
    assert same(predictions(project), predictions(switched))
    assert not list((project.runs / "trees").glob(".*.part"))


def test_killed_right_after_the_change_everything_is_new(
    ready: Project, switched: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.replace

    def replace_and_die(source: Any, target: Any) -> None:
        real(source, target)
        if Path(target).name == "current.json":
            raise KilledError

    made_ready = prepared(ready)
    monkeypatch.setattr(os, "replace", replace_and_die)
    with pytest.raises(KilledError):
        change_over(ready, made_ready)
    assert same(predictions(ready), predictions(switched))


def test_a_reader_never_sees_a_mixture(ready: Project, switched: Project) -> None:
    """A reader that took its look before the change goes on with the old trunk and the old tree."""
    before, look = predictions(ready), served(ready)
    change_over(ready, prepared(ready))
    assert (ready.trunks / look.version / "trunk.json").exists()
    assert set(grafted(ready.runs / look.tree)) == set(before)
    for folder in grafted(ready.runs / look.tree).values():
        record = json.loads((ready.trunks / look.version / "trunk.json").read_text())
        assert load_branch(folder)[1].fingerprint == record["fingerprint"]


def test_back_and_forth_to_the_bit(ready: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before, first = predictions(ready), served(ready)
    record = answered(ready, capsys, "switch", "--yes", *ANY_DROP)
    after, second = predictions(ready), served(ready)
    assert record["switched"]
    assert [one["attribute"] for one in record["branches"]] == sorted(KINDS)
    back = answered(ready, capsys, "rollback")
    assert (back["from"], back["to"]) == (second.version, first.version)
    assert served(ready) == first
    assert same(predictions(ready), before)
    with pytest.MonkeyPatch.context() as patch:
        forbid("nas.job.trainings.fit", patch)
        answered(ready, capsys, "switch", "--yes", *ANY_DROP)
    assert served(ready) == Served(second.version, f"trees/{second.version}-2")
    assert same(predictions(ready), after)
    assert answered(ready, capsys, "rollback")["to"] == first.version
    assert "never switched" in answered(ready, capsys, "rollback", code=2)["error"]


def test_by_default_no_branch_may_fall_by_more_than_half_a_point(
    ready: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before, fallen = served(ready), prepared(ready).fallen(MAX_DROP)
    assert fallen, "the branches of these few pictures fall and rise by far more"
    record = answered(ready, capsys, "switch", "--yes", code=1)
    assert f"fell by more than {MAX_DROP:g} (--max-drop)" in record["refused"]
    assert all(branch.attribute in record["refused"] for branch in fallen)
    assert served(ready) == before


def test_without_agreement_the_figures_are_shown_and_nothing_changes(
    ready: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = served(ready)
    record = answered(ready, capsys, "switch", *ANY_DROP)
    assert not record["switched"]
    for one in record["branches"]:
        assert {"auroc", "fpr"} <= set(one["old"]["test"]) & set(one["new"]["test"])
        difference, low, high = one["difference"]
        assert difference == pytest.approx(one["new"]["test"]["auroc"] - one["old"]["test"]["auroc"])
        assert low <= difference <= high
    assert served(ready) == before
    assert run(["trunk", "switch", *ANY_DROP, "--project", str(ready.folder)]) == 0
    shown = capsys.readouterr().out
    assert "test old  test new" in shown
    assert "Not changed over" in shown
    assert served(ready) == before


def test_refused_with_the_figures_when_a_branch_fails(ready: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = predictions(ready)
    (ready.data / "corner.csv").rename(ready.folder / "corner.csv")
    record = answered(ready, capsys, "switch", "--yes", code=1)
    assert not record["switched"]
    assert "1 of 3 branches failed (corner)" in record["refused"]
    errors = {one["attribute"]: one["error"] for one in record["branches"]}
    assert errors["bright"] is None
    assert "no sub-dataset for 'corner'" in errors["corner"]
    assert record["branches"][0]["new"]["test"]["auroc"] > 0
    (ready.folder / "corner.csv").rename(ready.data / "corner.csv")
    assert same(predictions(ready), before)


def test_refused_when_a_score_falls_too_far(ready: Project, capsys: pytest.CaptureFixture[str]) -> None:
    made_ready = prepared(ready)
    scores = {one.attribute: (one.value("old", "val"), one.value("new", "val")) for one in made_ready.branches}
    drops = {name: (old or 0) - (new or 0) for name, (old, new) in scores.items()}
    most = max(drops.values())
    assert made_ready.refusal(most) == ""
    worst = max(drops, key=lambda name: drops[name])
    assert f"the val auroc of {worst} fell" in made_ready.refusal(most - 1e-6)
    before = served(ready)
    answered(ready, capsys, "switch", "--yes", "--max-drop", str(max(most, 0.0)))
    assert served(ready) != before


def test_a_branch_grafted_meanwhile_is_not_lost(ready: Project) -> None:
    made_ready = prepared(ready)
    weights = ready.tree / "bright" / "branch.json"
    weights.write_text(weights.read_text().replace('"threshold": 0.5', '"threshold": 0.25'))
    with pytest.raises(ConfigError, match="meanwhile; call again"):
        change_over(ready, made_ready)
    assert served(ready).tree == "tree"


def test_searched_again_and_grafted_from_the_search_on_the_trunk_in_use(project: Project) -> None:
    shutil.rmtree(project.tree / "corner")
    shutil.rmtree(project.tree / "shape")
    old = project.searches("bright") / "old"
    shutil.copytree(project.tree / "bright", old / "branch")
    fingerprint = load_branch(old / "branch")[1].fingerprint
    (old / "config.json").write_text(json.dumps({"fingerprint": fingerprint}))
    (old / "result.json").write_text("{}")
    made_ready = prepared(project, search=True)
    (one,) = made_ready.branches
    assert one.error is None
    assert one.branch is not None
    assert one.branch.parent == project.latest("bright") != old
    assert load_branch(graft_attribute(project, "bright"))[1].fingerprint == fingerprint
    change_over(project, made_ready)
    assert load_branch(project.tree / "bright")[1].fingerprint != fingerprint
    assert load_branch(graft_attribute(project, "bright"))[1].fingerprint != fingerprint


def test_searched_again_a_branch_keeps_its_depth_and_stays_searched(project: Project) -> None:
    shutil.rmtree(project.tree / "corner")
    shutil.rmtree(project.tree / "shape")
    trunk = project.config.trunk.model_copy(update={"freeze_depth": 3})
    branch = project.config.branch.model_copy(update={"kind": "tail"})
    other = replace(project, config=project.config.model_copy(update={"trunk": trunk, "branch": branch}))
    (one,) = prepared(other, search=True).branches
    assert not one.error
    assert one.branch is not None
    record = load_branch(one.branch)[1]
    assert (record.kind, record.freeze_depth) == ("branch", DEPTH)


def test_other_views_are_another_renewal(project: Project) -> None:
    new = replace(project, version=choose_version(project, None))
    trunk, record = open_trunk(new, CPU), load_branch(project.tree / "shape")[1]
    plain = whole_data(new, trunk, "shape", DEPTH)
    features = new.config.features.model_copy(update={"views": ("flip",)})
    flipped = replace(plain, project=replace(new, config=new.config.model_copy(update={"features": features})))
    assert renew(plain, record, seed=0) == renew(plain, record, seed=0) != renew(flipped, record, seed=0)


def test_a_tail_is_renewed_as_it_was_made(project: Project) -> None:
    new = replace(project, version=choose_version(project, None))
    data = whole_data(new, open_trunk(new, CPU), "corner", DEPTH)
    control = load_branch(project.tree / "corner")[1]
    by_hand = replace(control, architecture=tail_space(4, backbone="small_cnn", blocks=(6,)).architecture([0, 0, 0]))
    assert recipe_of(data, by_hand) == hand_settings(new.config, data.trunk, DEPTH, CPU).retrain
    assert recipe_of(data, by_hand).precision == "float32"
    assert recipe_of(data, control) == job_settings(new.config, with_tail=True, device=CPU).tail


@pytest.mark.parametrize("search", [False, True])
def test_a_tail_that_was_chosen_by_hand_keeps_its_choices(project: Project, search: bool) -> None:
    trunk = open_trunk(project, CPU)
    space = tail_space(4, backbone="small_cnn", blocks=(5,), poolings=("bilinear",), widths=(4,))
    chosen = space.architecture([0, 0, 0])
    for name in ("bright", "shape"):
        shutil.rmtree(project.tree / name)
    record = replace(load_branch(project.tree / "corner")[1], architecture=chosen)
    shutil.rmtree(project.tree / "corner")
    save_branch(project.tree / "corner", tail_branch(trunk, chosen, 2), record)
    [made_anew] = prepared(project, search=search).branches
    assert not made_anew.error
    assert made_anew.branch is not None
    renewed = load_branch(made_anew.branch)[1]
    assert (renewed.kind, renewed.architecture) == ("tail", chosen)
    assert renewed.fingerprint != record.fingerprint


def test_versions_are_chosen_by_name(made: Project) -> None:
    other = choose_version(made, None)
    assert choose_version(made, other[:6]) == other
    with pytest.raises(ConfigError, match="no version 'zzz'; there are"):
        choose_version(made, "zzz")
    with pytest.raises(ConfigError, match="is in use already"):
        prepare(made, served(made).version, search=False, seed=0, device=CPU)


def test_a_version_whose_depth_is_too_small_for_a_branch(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    path = project.tree / "shape" / "branch.json"
    path.write_text(path.read_text().replace('"freeze_depth": 4', '"freeze_depth": 9'))
    shutil.rmtree(project.tree / "corner")
    shutil.rmtree(project.tree / "bright")
    record = answered(project, capsys, "switch", "--yes", code=1)
    assert "freeze_depth of small_cnn must lie between 1 and 6, is 9" in record["branches"][0]["error"]
    assert issubclass(TrunkError, ValueError)


def started(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "graftnet", "trunk", "switch", "--yes", *ANY_DROP, "--device", "cpu", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def reached(folder: Path) -> Iterator[tuple[str, bool]]:
    """What a switch leaves behind on its way, in order, and whether it is there yet."""
    yield "a finished training", any(folder.glob("runs/trunk/*/branches/*/*/trainings/*.safetensors"))
    yield "a finished branch", any(folder.glob("runs/trunk/*/branches/*/*/result.json"))
    yield "all finished branches", len(list(folder.glob("runs/trunk/*/branches/*/*/result.json"))) == len(KINDS)


@pytest.mark.slow
def test_sigkill_at_several_points(project: Project, switched: Project) -> None:
    old, new = predictions(project), predictions(switched)
    killed = 0
    for point in range(3):
        process = started(project.folder)
        try:
            while process.poll() is None and not list(reached(project.folder))[point][1]:
                time.sleep(0.001)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                killed += process.wait() == -signal.SIGKILL
        finally:
            process.communicate()
        found = predictions(project)
        assert same(found, new if served(project).tree != "tree" else old)
    assert killed >= 2, "the switch ended before it could be killed"
    if served(project).tree == "tree":
        out, error = started(project.folder).communicate()
        assert json.loads(out.decode().splitlines()[-1])["switched"], error.decode()
    assert same(predictions(project), new)


def test_where_nothing_is_grafted_a_new_version_is_in_use_at_once(
    project: Project,
) -> None:
    shutil.rmtree(project.tree)
    version = train_trunk(project, seed=1, device=CPU)
    assert project.current_trunk == version
