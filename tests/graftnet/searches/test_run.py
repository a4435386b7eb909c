"""The main road, on a handful of pictures: data, trunk, search, graft, export, verify, predict."""

import base64
import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from branches.errors import BranchError
from branches.grafting import GraftedNet
from branches.measures.calibration import calibrate
from branches.measures.metrics import measure, pr_points
from branches.saved import load_branch
from deployment.runtime import Runtime
from graftnet.bundles.tree import export_attributes, graft_attribute
from graftnet.project.folder import Project, open_project
from graftnet.searches.calls import search_in
from graftnet.searches.features import cache_of
from graftnet.searches.run import cache_features, search_attribute
from graftnet.trunks.served import Served, serve
from graftnet.trunks.versions import open_trunk, train_trunk, use_trunk
from nas.job.pictures import NOT_WANTED
from reports.result_schema import check_result
from subdatasets.image_files import content_hash, read_image
from subdatasets.importing.arrays import import_labels
from subdatasets.subdataset import read_subdataset
from tests.untimed import untimed
from trunk.errors import TrunkError
from trunk.trunk import Trunk

CONFIG = """
[trunk]
backbone = "small_cnn"
image_size = 8
freeze_depth = 4
steps = 6
batch_size = 8
warmup_steps = 2
precision = "float32"

[search]
nodes = 2
widths = [4]
epochs = 2
warmup_epochs = 1
batch_size = 32
updates_per_epoch = 1
samples_per_update = 2
candidates = 4
retrain_top = 2
choice = "searched"
hidden = 8

[retrain]
epochs = 2
repeats = 2

[controls]
tail_epochs = 1
learning_curve = false
"""
CPU = torch.device("cpu")


def make_pictures(count: int, seed: int) -> tuple[list[np.ndarray], dict[str, list[str]]]:
    """Pictures that are bright or dark, with a red or a blue corner."""
    rng = np.random.default_rng(seed)
    images: list[np.ndarray] = []
    labels: dict[str, list[str]] = {"bright": [], "corner": []}
    for number in range(count):
        bright, blue = number % 2, number // 2 % 2
        pixels = rng.integers(0, 60, (8, 8, 3)) + 120 * bright
        pixels[:3, :3] = (0, 0, 255) if blue else (255, 0, 0)
        images.append(pixels.astype(np.uint8))
        labels["bright"].append("yes" if bright else "no")
        labels["corner"].append("blue" if blue else "red")
    return images, labels


def make_project(folder: Path, count: int, config: str = CONFIG) -> Project:
    """A project with `count` pictures, half of them train, a quarter each val and test, and a trunk; not searched."""
    torch.set_num_threads(1)
    (folder / "graftnet.toml").write_text(config)
    images, labels = make_pictures(count, 0)
    quarter = count // 4
    splits = ["train"] * (count - 2 * quarter) + ["val"] * quarter + ["test"] * quarter
    import_labels(images, labels, folder / "data", splits=splits)
    project = open_project(folder)
    train_trunk(project, seed=0, device=CPU)
    return project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a trunk and both attributes searched and grafted; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("made")
    project = make_project(folder, 120)
    for name in ("bright", "corner"):
        search_attribute(project, name, seed=0, device=CPU)
        graft_attribute(project, name)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    return open_project(Path(shutil.copytree(made, tmp_path / "copy", symlinks=True)))


def result_of(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return value


def forbid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError(f"{name} ran although nothing changed")

    monkeypatch.setattr(name, refuse)


def test_a_control_switched_off_costs_no_training(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = project.latest_search("bright")
    config = project.folder / "graftnet.toml"
    config.write_text(config.read_text().replace("tail_epochs = 1", "tail = false"))
    for name in ("nas.enas.Search.train_child", "nas.job.trainings.fit", "nas.job.trainings.linear_probe"):
        forbid(name, monkeypatch)
    search_in(open_project(project.folder), "bright", seed=0, device="cpu")
    said = capsys.readouterr().err
    assert "bright is searched anew (controls.tail is now off)." in said
    assert (
        "taken over from its earlier searches, as far as they are the same: the search, trainings and the probe."
        in said
    )
    after = project.latest_search("bright")
    assert after != before
    assert result_of(after)["taken_over"]["search"] == before.name
    assert result_of(after)["identity"] == result_of(before)["identity"]
    assert "tail" not in result_of(after)["controls"]


def test_the_result_has_what_the_design_promises(project: Project) -> None:
    folder = project.latest_search("bright")
    result = result_of(folder)
    check_result(folder / "result.json")
    trunk = open_trunk(project, CPU)
    assert result["fingerprint"] == trunk.fingerprint
    assert result["freeze_depth"] == 4
    assert result["values"] == ["no", "yes"]
    assert result["status"] == "complete"
    assert set(result["controls"]) == {"random", "linear_probe", "tail"}
    figures = {
        "auroc",
        "average_precision",
        "accuracy",
        "balanced_accuracy",
        "f1",
        "threshold",
        "precision",
        "recall",
        "fpr",
    }
    for block in (result["val"], result["test"], *(control["test"] for control in result["controls"].values())):
        assert set(block) == figures
    assert set(result["seconds"]) == {"features", "search", "retrain", "controls", "total"}
    calibration = result["calibration"]
    kept = load_branch(folder / "branch")[1].calibration
    assert kept is not None
    assert calibration["method"] == kept["method"]
    assert calibration["images"] == sum(result["data"]["counts"]["val"].values())
    for split in ("val", "test"):
        for side in ("raw", "calibrated"):
            bins = calibration[split][side]["bins"]
            assert sum(images for _, _, images in bins) == sum(result["data"]["counts"][split].values())
    assert result["tail_parameters"] == sum(weight.numel() for weight in trunk.tail(4, 2).parameters())
    assert result["data"]["counts"]["test"] == {"no": 15, "yes": 15}
    for name in (
        "config.json",
        "history.jsonl",
        "architecture.json",
        "branch/branch.json",
        "branch/weights.safetensors",
    ):
        assert (folder / name).is_file()


def test_the_predictions_are_those_that_were_measured(project: Project) -> None:
    folder = project.latest_search("bright")
    result, subdataset = result_of(folder), read_subdataset(project.source("bright"))
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for split in ("val", "test"):
        own = [row for row in rows if row["split"] == split]
        examples = subdataset.split(split)
        assert [project.folder / row["image"] for row in own] == [example.path for example in examples]
        assert [row["label"] for row in own] == [result["values"][example.value] for example in examples]
        scores = np.array([[float(row["score of no"]), float(row["score of yes"])] for row in own])
        labels = np.array([example.value for example in examples])
        assert measure(scores, labels, threshold=result["val"]["threshold"]) == result[split]
        assert pr_points(scores, labels) == result["precision_recall"][split]["winner"]
        chosen = scores[:, 1] >= result["val"]["threshold"]
        assert [row["predicted"] for row in own] == np.where(chosen, "yes", "no").tolist()


def test_the_pictures_are_of_the_images_that_they_name(project: Project) -> None:
    record = json.loads((project.latest_search("bright") / "pictures.json").read_text())
    maps = record["activation"]["pictures"]
    assert {one["label"] for one in record["examples"]} == {"no", "yes"}
    assert all(one["label"] != one["predicted"] for one in record["mistakes"])
    assert record["counts"]["shown"] == len(record["mistakes"])
    assert record["counts"]["images"] == 30
    assert 2 <= len(maps) <= 12
    for one in (*record["mistakes"], *record["examples"], *maps):
        original = read_image(project.folder / one["image"])
        shown = Image.open(io.BytesIO(base64.b64decode(one["picture"].partition(",")[2])))
        assert np.array_equal(np.asarray(shown), np.asarray(original))  # 8 x 8 pixels are kept as they are
        assert one["content"] == content_hash(project.folder / one["image"])
    for one in maps:
        assert np.shape(one["map"]) == (2, 2)
        assert np.abs(one["map"]).max() == 1


def test_a_project_may_keep_no_pictures(project: Project) -> None:
    first = project.latest_search("bright")
    result, table = result_of(first), (first / "predictions.csv").read_bytes()
    config = project.folder / "graftnet.toml"
    config.write_text("[project]\npictures = false\n" + config.read_text())
    (first / "result.json").unlink()
    again = search_attribute(open_project(project.folder), "bright", seed=0, device=CPU)
    assert again == first  # what is kept of images is no part of what defines a search
    assert untimed(result_of(again)) == untimed(result)
    assert (again / "predictions.csv").read_bytes() == table
    assert json.loads((again / "pictures.json").read_text()) == {"missing": [NOT_WANTED]}


def test_the_records_of_images_change_no_figure(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first = project.latest_search("corner")
    result, history = result_of(first), (first / "history.jsonl").read_text()
    pages = {name: (first / name).read_bytes() for name in ("predictions.csv", "pictures.json")}
    shutil.rmtree(first)
    with monkeypatch.context() as patch:
        patch.setattr("nas.job.run.record_images", lambda *_, **__: None)
        again = search_attribute(project, "corner", seed=0, device=CPU)
    assert again == first
    assert untimed(result_of(again)) == untimed(result)
    assert [untimed(json.loads(line)) for line in (again / "history.jsonl").read_text().splitlines()] == [
        untimed(json.loads(line)) for line in history.splitlines()
    ]
    # Killed before the last record: the search is unfinished, and called again it ends the same.
    (again / "result.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("nas.job.pictures.write_pictures", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search_attribute(project, "corner", seed=0, device=CPU)
    assert not (again / "result.json").exists()
    search_attribute(project, "corner", seed=0, device=CPU)
    assert untimed(result_of(again)) == untimed(result)
    assert {name: (again / name).read_bytes() for name in pages} == pages


def interrupted(*_arguments: object, **_options: object) -> None:
    raise KeyboardInterrupt


def test_a_second_search_runs_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = project.latest_search("bright")
    forbid("graftnet.searches.run.run_job", monkeypatch)
    forbid("trunk.trunk.Trunk.capture", monkeypatch)
    assert search_attribute(project, "bright", seed=0, device=CPU) == before


def test_another_seed_searches_the_same_images_without_the_trunk(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.latest_search("bright")
    forbid("trunk.trunk.Trunk.capture", monkeypatch)
    second = search_attribute(project, "bright", seed=1, device=CPU)
    assert second != first
    assert (second / "history.jsonl").read_text() != (first / "history.jsonl").read_text()


def test_images_shared_by_attributes_pass_the_trunk_once(project: Project) -> None:
    record = cache_features(project, ["bright", "corner"], device=CPU)
    assert (record["images"], record["computed"]) == (120, 0)
    _, index = cache_of(project, open_trunk(project, CPU)).read_index(4)
    assert len(index) == 120


def test_the_same_seed_gives_the_same_result_elsewhere(project: Project, tmp_path: Path) -> None:
    first = project.latest_search("corner")
    expected = result_of(first)
    shutil.rmtree(project.runs / "cache")
    shutil.rmtree(first)
    again = search_attribute(project, "corner", seed=0, device=CPU)
    assert again.name == first.name
    assert untimed(result_of(again)) == untimed(expected)


def test_changed_data_or_settings_make_another_search(project: Project) -> None:
    first = project.latest_search("bright")
    source = project.source("bright")
    lines = source.read_text().splitlines()
    source.write_text("\n".join(lines[:-1]) + "\n")
    second = search_attribute(project, "bright", seed=0, device=CPU)
    assert second != first
    config = project.folder / "graftnet.toml"
    config.write_text(config.read_text().replace("retrain_top = 2", "retrain_top = 1"))
    assert search_attribute(open_project(project.folder), "bright", seed=0, device=CPU) not in (first, second)


def test_grafting_leaves_every_other_output_bit_identical(project: Project) -> None:
    trunk = open_trunk(project, CPU)
    paths = [example.path for example in read_subdataset(project.source("bright")).split("test")][:5]
    images = torch.stack([trunk.preprocessing.apply(read_image(path)) for path in paths])
    net = GraftedNet(trunk)
    net.graft_saved(project.tree / "bright")
    with torch.inference_mode():
        alone = net(images)["bright"]
        net.graft_saved(project.tree / "corner")
        both = net(images)
    assert torch.equal(both["bright"], alone)
    before = {path.name: path.read_bytes() for path in (project.tree / "bright").iterdir()}
    graft_attribute(project, "corner")
    assert {path.name: path.read_bytes() for path in (project.tree / "bright").iterdir()} == before


def test_the_exported_bundle_predicts_what_the_tree_predicts(project: Project) -> None:
    bundle = export_attributes(project, ["bright", "corner"], project.exports / "bundle")
    runtime = Runtime(bundle)
    checks = runtime.verify()
    assert {"bright", "corner"} < {check["branch"] for check in checks}
    assert all(check["ok"] for check in checks)
    trunk = open_trunk(project, CPU)
    net = GraftedNet(trunk)
    for name in ("bright", "corner"):
        net.graft_saved(project.tree / name)
    paths = [example.path for example in read_subdataset(project.source("bright")).split("test")][:4]
    with torch.inference_mode():
        expected = net(torch.stack([trunk.preprocessing.apply(read_image(path)) for path in paths]))
    for row, found in enumerate(runtime.predict(paths)):
        for name in ("bright", "corner"):
            scores = found["attributes"][name]["scores"]
            listed = list(scores.values()) if isinstance(scores, dict) else scores
            assert listed == pytest.approx(expected[name][row].tolist(), rel=1e-3, abs=1e-4)
            calibration = load_branch(project.tree / name)[1].calibration
            assert calibration is not None
            mapped = calibrate(calibration, np.array([listed]))[0].tolist()
            assert list(found["attributes"][name]["calibrated"].values()) == pytest.approx(mapped)


def test_a_micro_branch_goes_all_the_way(project: Project) -> None:
    config = project.folder / "graftnet.toml"
    config.write_text(CONFIG.replace("[search]", '[search]\nspace = "micro"\ncells = 2\nreductions = [1]'))
    project = open_project(project.folder)
    result = result_of(search_attribute(project, "bright", seed=0, device=CPU))
    assert result["space"] == result["architecture"]["space"] == "micro"
    assert {decision[0].split(".")[0] for decision in result["decisions"]} >= {"normal", "reduction"}
    graft_attribute(project, "bright")
    bundle = export_attributes(project, ["bright", "corner"], project.exports / "bundle")
    assert "# Cell 1, reduction, reads stem." in (bundle / "bright" / "branch.py").read_text()
    assert all(check["ok"] for check in Runtime(bundle).verify())


def test_a_branch_of_another_trunk_is_refused(project: Project) -> None:
    old = open_trunk(project, CPU).fingerprint
    weights = load_file(project.current_trunk / "weights.safetensors")
    weights["block0.0.weight"] = weights["block0.0.weight"] + 0.01
    save_file(weights, project.folder / "other.safetensors")
    serve(project, Served(use_trunk(project, str(project.folder / "other.safetensors")).name))
    new = open_trunk(project, CPU).fingerprint
    with pytest.raises(BranchError, match=rf"(?s){old}.*{new}"):
        graft_attribute(project, "bright")


def test_a_cache_written_by_another_trunk_is_refused(project: Project) -> None:
    cache = next((project.runs / "cache").iterdir())
    record = json.loads((cache / "cache.json").read_text())
    (cache / "cache.json").write_text(json.dumps({**record, "fingerprint": "f" * 64}))
    with pytest.raises(TrunkError, match="written by trunk ffffffffffff"):
        search_attribute(project, "bright", seed=2, device=CPU)


def test_a_trained_trunk_is_not_trained_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project.current_trunk
    forbid("trunk.pretraining.loop.Pretraining.run", monkeypatch)
    assert train_trunk(project, seed=0, device=CPU) == folder
    record = json.loads((folder / "trunk.json").read_text())
    assert record["attributes"] == ["bright", "corner"]
    assert Trunk.load(folder).fingerprint == record["fingerprint"]
    assert not list(folder.rglob("checkpoint*"))
