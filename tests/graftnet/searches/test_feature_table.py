"""[features] of graftnet.toml, all the way: views, storages, and what filling the cache takes."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from branches.costs.module import macs, parameters
from branches.measures.metrics import REWARDS
from branches.saved import load_branch
from branches.training import predict_scores
from deployment.runtime import Runtime
from graftnet.bundles.tree import export_attributes, graft_attribute
from graftnet.cli import run
from graftnet.project.folder import Project, open_project
from graftnet.searches.run import plan_search, search_attribute
from graftnet.searches.standing import changes_since
from graftnet.trunks.versions import open_trunk
from nas.errors import SearchError
from subdatasets.image_files import read_image
from subdatasets.subdataset import read_subdataset
from tests.graftnet.searches.test_run import CONFIG, make_project, result_of
from tests.nas.killing import killed_after
from tests.untimed import untimed
from trunk.features.estimate import Estimate
from trunk.features.source import ArrayFeatures

CPU = torch.device("cpu")
PICTURES = 100


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two attributes and a trunk, not searched."""
    folder = tmp_path_factory.mktemp("made")
    make_project(folder, PICTURES)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def with_table(folder: Path, table: str) -> Project:
    (folder / "graftnet.toml").write_text(f"{CONFIG}\n[features]\n{table}\n")
    return open_project(folder)


def answered(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return value


def test_views_are_of_training_images_alone_and_a_stopped_search_draws_them_again(folder: Path, tmp_path: Path) -> None:
    project = with_table(folder, 'views = ["flip", "crop1+light1"]')
    twin = open_project(Path(shutil.copytree(folder, tmp_path / "twin")))
    whole = search_attribute(project, "corner", seed=0, device=CPU)
    keys = [
        key
        for record in (folder / "runs" / "cache").rglob("depth04/*.json")
        for key in json.loads(record.read_text())["hashes"]
    ]
    assert len(keys) == len(set(keys)) == PICTURES + 2 * 50
    with killed_after(2):  # in the second epoch; the trainings follow after it
        search_attribute(twin, "corner", seed=0, device=CPU)
    again = search_attribute(twin, "corner", seed=0, device=CPU)
    assert again.name == whole.name
    assert untimed(result_of(again)) == untimed(result_of(whole))
    plain = search_attribute(with_table(folder, ""), "corner", seed=0, device=CPU)
    assert plain != whole
    losses = [json.loads((one / "history.jsonl").read_text().splitlines()[0])["loss"] for one in (plain, whole)]
    assert losses[0] != losses[1]


def test_a_branch_searched_on_components_is_refused_nothing(folder: Path) -> None:
    project = with_table(folder, 'storage = "pca:5"')
    search = search_attribute(project, "bright", seed=0, device=CPU)
    trunk, result = open_trunk(project, CPU), result_of(search)
    shape = trunk.feature_shape(4)
    module, record = load_branch(search / "branch")
    assert tuple(result["feature_shape"]) == record.feature_shape == shape
    assert (result["parameters"], result["macs"]) == (parameters(module), macs(module, shape))
    assert result["tail_parameters"] == sum(weight.numel() for weight in trunk.tail(4, 2).parameters())
    assert result["tail_macs"] == macs(trunk.tail(4, 2), shape)
    assert result["controls"]["linear_probe"]["parameters"] == 2 * (shape[0] + 1)
    assert result["storage"] == "pca:5"
    assert result["codec"] == json.loads((search / "config.json").read_text())["codec"]
    # What was measured on stored components holds on the trunk's own features.
    for split in ("val", "test"):
        examples = read_subdataset(project.source("bright")).split(split)
        pixels = torch.stack([trunk.preprocessing.apply(read_image(example.path)) for example in examples])
        scores = predict_scores(module, ArrayFeatures(trunk(pixels, 4)))
        labels = np.array([example.value for example in examples])
        assert REWARDS["auroc"](scores, labels) == pytest.approx(result[split]["auroc"], abs=0.02)
    graft_attribute(project, "bright")
    bundle = export_attributes(project, ["bright"], project.exports / "bundle")
    assert all(check["ok"] for check in Runtime(bundle).verify())


def test_a_search_goes_on_with_the_codec_that_it_began_with(folder: Path) -> None:
    project = with_table(folder, 'storage = "int8"')
    with killed_after(2):
        search_attribute(project, "bright", seed=0, device=CPU)
    (config,) = project.searches("bright").glob("*/config.json")
    shutil.rmtree(project.cache)
    codec = json.loads(config.read_text())["codec"]
    config.write_text(config.read_text().replace(codec, "0" * 16))
    with pytest.raises(SearchError, match=rf"codec {'0' * 16} stored, but .*codec {codec}\); delete {config.parent}"):
        search_attribute(project, "bright", seed=0, device=CPU)
    # Fitted again on the same images it is the same codec.
    config.write_text(config.read_text().replace("0" * 16, codec))
    assert search_attribute(project, "bright", seed=0, device=CPU) == config.parent


def test_defaults_leave_what_defines_a_search_as_it_was(folder: Path) -> None:
    project = open_project(folder)
    trunk = open_trunk(project, CPU)
    plain = plan_search(project, trunk, "bright", seed=0, device=CPU)
    assert not {"views", "storage"} & set(plain.identity)
    table = 'views = ["flip"]\nstorage = "int8"'
    other = plan_search(with_table(folder, table), trunk, "bright", seed=0, device=CPU)
    plain.folder.mkdir(parents=True)
    config = {**plain.identity, "data": {"digest": plain.identity["data"]}}
    (plain.folder / "config.json").write_text(json.dumps(config))
    assert changes_since(plain.folder, other.identity) == (
        'features.views unset -> ["flip"]',
        'features.storage unset -> "int8"',
    )


def test_a_dry_run_says_what_the_cache_takes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = with_table(folder, 'views = ["flip"]')
    shape = open_trunk(project, CPU).feature_shape(4)
    call = ["cache", "--project", str(folder), "--device", "cpu", "--json"]
    assert run([*call, "--dry-run"]) == 0
    estimate = answered(capsys)
    assert (estimate["images"], estimate["rows"]) == (PICTURES, PICTURES + 50)
    assert estimate["feature_bytes"] == (PICTURES + 50) * 2 * int(np.prod(shape))
    assert estimate["fits"]
    assert estimate["seconds"] > 0
    assert not project.cache.exists() or not list(project.cache.rglob("*.npy"))
    assert run(call) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out.splitlines()[-1])["computed"] == PICTURES + 50
    assert "150 maps of features are missing: about" in captured.err
    assert run([*call, "--dry-run"]) == 0
    assert answered(capsys)["rows"] == 0


def test_a_full_check_finds_a_damaged_shard_and_computes_it_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["cache", "--project", str(folder), "--device", "cpu", "--json"]
    assert run(call) == 0
    array = next((folder / "runs" / "cache").rglob("depth04/*.npy"))
    data = bytearray(array.read_bytes())
    data[-3] ^= 1
    array.write_bytes(data)
    capsys.readouterr()
    assert run([*call, "--verify"]) == 0
    captured = capsys.readouterr()
    assert "Depth 4: 0 shards with 0 rows" in captured.err
    assert "1 damaged ones were deleted, their images are computed again." in captured.err
    assert json.loads(captured.out.splitlines()[-1])["computed"] == PICTURES
    assert run([*call, "--verify"]) == 0
    assert f"Depth 4: 1 shards with {PICTURES} rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    "call", [["cache"], ["cache", "--dry-run"], ["search", "bright"], ["search", "--all"]], ids=" ".join
)
def test_a_disk_without_room_is_refused_before_anything_is_computed(
    call: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Estimate, "fits", False)
    code = run([*call, "--project", str(folder), "--device", "cpu"])
    assert code == (1 if "--all" in call else 2)
    assert (
        "free some space, set project.runs to a larger disk, or lower it by features.storage."
        in capsys.readouterr().err
    )
    assert not list(folder.rglob("depth04*/*.npy"))
