"""Branches by hand, by command line: trained, grafted at another depth, exported, reported; others untouched."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from branches.grafting import GraftedNet
from deployment.runtime import Runtime
from graftnet.bundles.tree import graft_attribute
from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.project.config import Config
from graftnet.project.folder import open_project
from graftnet.project.overrides import Overrides
from graftnet.searches.run import plan_search, search_attribute
from graftnet.searches.standing import standing_of
from graftnet.trunks.versions import open_trunk
from reports.result_schema import check_result
from tests.graftnet.searches.test_run import CPU, make_project

BY_HAND = ("--branch", "tail", "--blocks", "5", "--pooling", "bilinear", "--width", "6", "--freeze-depth", "3")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a trunk, one attribute searched and grafted at the project's depth, the other not yet."""
    folder = tmp_path_factory.mktemp("made")
    project = make_project(folder, 120)
    search_attribute(project, "bright", seed=0, device=CPU)
    graft_attribute(project, "bright")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = Path(shutil.copytree(made, tmp_path / "copy", symlinks=True))
    monkeypatch.chdir(copy)
    return copy


def answered(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run([*arguments, "--json"]) == 0
    record: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])
    return record


def test_a_branch_by_hand_goes_all_the_way(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    project = open_project(folder)
    trunk = open_trunk(project, CPU)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = {path.name: path.read_bytes() for path in (project.tree / "bright").iterdir()}
    net = GraftedNet(trunk)
    net.graft_saved(project.tree / "bright")
    with torch.no_grad():
        alone = net(images)["bright"]
    answered(capfd, "export", "bright", "--out", "one")

    found = answered(capfd, "search", "corner", *BY_HAND)
    result = json.loads((Path(found["folder"]) / "result.json").read_text())
    check_result(Path(found["folder"]) / "result.json")
    assert (result["freeze_depth"], result["feature_shape"]) == (3, [64, 4, 4])
    assert result["architecture"]["choices"] == {"blocks": 5, "head.pooling": "bilinear", "width": 6}
    assert set(result["controls"]) == {"linear_probe", "tail"}
    page = Path(found["report"]).read_text()
    assert "Chosen by hand, not searched" in page
    assert "own, fine-tuned) reads block 3" in page
    assert "no child epoch" not in page
    answered(capfd, "graft", "corner")

    net.graft_saved(project.tree / "corner")
    calls = []
    capture = trunk.capture
    trunk.capture = lambda *arguments: calls.append(arguments[1]) or capture(*arguments)  # type: ignore
    with torch.no_grad():
        assert torch.equal(net(images)["bright"], alone)
    assert calls == [[3, 4]]
    assert {path.name: path.read_bytes() for path in (project.tree / "bright").iterdir()} == before

    answered(capfd, "export", "--all", "--out", "both")
    assert answered(capfd, "verify", "both")["ok"]
    for name, what in (("bright", "The searched branch"), ("corner", "The backbone's own blocks")):
        card = (folder / "both" / name / "card.md").read_text()
        assert card.startswith(f"# {name}\n")
        assert f"- {what}, architecture `" in card
    assert json.loads((folder / "both" / "bundle.json").read_text())["outputs"] == {"3": "block2", "4": "block3"}
    assert json.loads((folder / "both" / "corner" / "branch.json").read_text())["source"] == "branch.py"
    one, both = (Runtime(folder / name).scores_of_images(images.numpy()) for name in ("one", "both"))
    assert np.array_equal(one["bright"], both["bright"])
    with torch.no_grad():
        np.testing.assert_allclose(both["corner"], net(images)["corner"].numpy(), rtol=1e-4, atol=1e-6)
    picture = next((folder / "data" / "images").rglob("*.png"))
    row = answered(capfd, "predict", "both", str(picture))["predictions"][0]
    assert set(row["attributes"]) == {"bright", "corner"}


def test_it_is_current_until_something_that_defines_it_changes(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = folder / "graftnet.toml"
    toml.write_text(toml.read_text() + '\n[branch]\nkind = "tail"\n')
    first = answered(capfd, "search", "corner")
    toml.write_text(toml.read_text().replace("candidates = 4", "candidates = 5"))  # only a search reads that
    with monkeypatch.context() as patch:
        patch.setattr("graftnet.searches.run.run_job", None)
        assert answered(capfd, "search", "corner")["folder"] == first["folder"]
    project = open_project(folder)
    trunk = open_trunk(project, CPU)
    stale = standing_of(plan_search(project, trunk, "bright", seed=0, device=CPU))
    assert stale.reasons == ('branch.kind "searched" -> "tail"',)
    toml.write_text(toml.read_text() + "blocks = 5\n")
    changed = standing_of(plan_search(open_project(folder), trunk, "corner", seed=0, device=CPU))
    assert "branch.blocks [6] -> [5]" in changed.reasons
    toml.write_text(toml.read_text().replace("tail_epochs = 1", "tail_epochs = 2") + 'pooling = "bilinear"\n')
    changed = standing_of(plan_search(open_project(folder), trunk, "corner", seed=0, device=CPU))
    assert {'branch.pooling ["average"] -> ["bilinear"]', "controls.tail_epochs 1 -> 2"} <= set(changed.reasons)
    capfd.readouterr()
    assert run(["audit", "corner"]) == 2
    assert "chosen by hand" in capfd.readouterr().err


def test_a_search_too_may_read_another_depth(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = answered(capfd, "search", "corner", "--freeze-depth", "2")
    result = json.loads((Path(found["folder"]) / "result.json").read_text())
    assert (result["freeze_depth"], result["space"]) == (2, "macro")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--blocks", "4"), r"must lie above trunk.freeze_depth \(4\) and be at most 6, the blocks of small_cnn, is 4"),
        (("--blocks", "7"), "be at most 6"),
        (("--freeze-depth", "6"), "is all 6 blocks of small_cnn, which leaves no tail"),
    ],
)
def test_blocks_that_are_not_there_are_refused(
    options: tuple[str, ...], message: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["search", "corner", "--branch", "tail", *options]) == 2
    assert re.search(message, capfd.readouterr().err)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"branch": "head"}, "--branch must be one of searched, tail, is 'head'"),
        ({"pooling": "max"}, "--pooling must be one of average, bilinear, is 'max'"),
        ({"branch": "tail", "strategy": "random"}, "--strategy has no meaning here: .* add --branch searched"),
        ({"branch": "tail", "max_macs": 5.0}, "--max-macs has no meaning here"),
        ({"branch": "tail", "warm_start": True}, "--warm-start has no meaning here"),
        ({"blocks": 5}, "--blocks has no meaning here: .* add --branch tail"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Overrides(**options).applied(Config())


def test_a_call_may_search_where_the_project_says_tail_and_the_other_way_round() -> None:
    tail = Overrides(branch="tail", blocks=5).applied(Config())
    assert (tail.branch.kind, tail.branch.blocks) == ("tail", 5)
    assert Overrides(branch="searched", strategy="random").applied(tail).search.strategy == "random"
    assert Overrides(pooling="bilinear", warm_start=False).applied(tail).branch.pooling == "bilinear"
    with pytest.raises(ConfigError, match="--strategy has no meaning here"):
        Overrides(strategy="random").applied(tail)


def test_features_of_one_s_own_have_no_tail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arrays: dict[str, Any] = {f"x_{split}": np.ones((4, 2), np.float32) for split in ("train", "val")}
    np.savez(tmp_path / "f.npz", **arrays, y_train=[0, 1, 0, 1], y_val=[0, 1, 0, 1])
    monkeypatch.chdir(tmp_path)
    assert run(["search", "--features", "f.npz", "--branch", "tail"]) == 2
    assert "have no backbone, so no tail" in capfd.readouterr().err
