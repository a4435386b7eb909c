"""The IML-GCN experiment, run on tiny photographs and tiny canvases."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.iml_gcn import main
from experiments.iml_gcn_data import Pools, clothing, pooled
from experiments.iml_gcn_end_to_end import main as end_to_end
from experiments.iml_gcn_tables import table_3, with_interval
from experiments.indeed_data import Labelled
from trunk.backbones.chain import build_small_cnn
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

SPLITS = ("train",) * 24 + ("val",) * 12 + ("test",) * 12


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("trunk")
    Trunk("small_cnn", build_small_cnn(), Preprocessing(16)).save(folder, {})
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pictures and a table of three tags: red, green, and one that no picture shows."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    lines = ["file,split,annotation,width,red,green,never"]
    for number, split in enumerate(SPLITS):
        red, green = number % 2, number // 2 % 2
        pixels = rng.integers(0, 90, (16, 16, 3)) + np.array([150 * red, 150 * green, 0])
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{split},pixel,16,{red},{green},0")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_it_runs_prints_its_tables_and_trains_nothing_twice(
    trunk: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["tags", str(photos / "labels.csv"), str(tmp_path), "--photos", str(photos), "--trunk", str(trunk)]
    call += ["--depth", "2", "--size", "16", "--epochs", "3", "--seeds", "0", "1"]
    call += ["--arms", "no graph", "image embeddings, PCA", "no graph, max pooling"]
    main(call)
    said = capsys.readouterr().out
    assert "labels-16: 3 labels, 24 train, 12 val, 12 test images" in said
    assert "| over no graph: seeds | images |" in said
    assert "| % | threshold | mAP | CP | CR | CF1 | OP | OR | OF1 | top-3 CP |" in said
    assert "| % | mA | accuracy | precision | recall | F1 |" in said
    (path,) = tmp_path.glob("*.jsonl")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(records) == 3 * (4 + 2)
    assert [record["seed"] for record in records if "map" in record] == [0, 1] * 3
    tested = next(record for record in records if "map" in record)
    assert np.shape(tested["scores"]) == (12, 3)
    assert tested["at_half"]["measured"] == 2
    before = path.stat().st_mtime_ns
    main(call)
    again = capsys.readouterr().out
    assert path.stat().st_mtime_ns == before
    assert again[again.index("|") :] == said[said.index("|") :]


def test_canvases_of_several_pictures(trunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)

    def read(folder: Path, part: str) -> Labelled:
        return Labelled(rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8), np.arange(60) % 10)

    monkeypatch.setattr("experiments.iml_gcn_data.read_cifar10", read)
    monkeypatch.setattr("experiments.iml_gcn_data.VAL_PICTURES", 20)
    call = ["composites", "cifar", str(tmp_path), "--trunk", str(trunk), "--depth", "2", "--canvases", "32", "16", "16"]
    main([*call, "--epochs", "1", "--seeds", "0", "--arms", "no graph", "identity nodes"])
    assert (tmp_path / "ml-cifar10-3-32-16-16-small_cnn-2.jsonl").is_file()


def test_features_are_computed_once_and_are_the_trunks(
    trunk: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, network = clothing(photos / "labels.csv", photos, 16), Trunk.load(trunk)
    first: Pools = pooled(images, network, 2, tmp_path)
    pixels = np.stack([np.asarray(Image.open(photos / f"{number}.png")) for number in range(24)])
    maps = network(network.preprocessing.normalise(torch.from_numpy(pixels)), 2)
    assert torch.allclose(first.train.features.average, maps.mean(dim=(2, 3)), atol=1e-5)
    assert torch.allclose(first.train.features.max, maps.amax(dim=(2, 3)), atol=1e-5)
    assert first.train.states[:4].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
    monkeypatch.setattr("experiments.iml_gcn_data.feature_maps", None)
    assert torch.equal(pooled(images, network, 2, tmp_path).val.features.max, first.val.features.max)


def test_gains_and_intervals_of_the_table() -> None:
    states = np.array([[1], [0], [1], [0]] * 4, dtype=np.int8)
    plain = [{"rate": 0.1, "parameters": 1000, "val": 0.5, "map": 0.5 + seed / 100} for seed in range(3)]
    scores = [[0.9], [0.2], [0.8], [0.1]] * 4
    base = [{**one, "scores": [[0.1], [0.2], [0.8], [0.9]] * 4} for one in plain]
    better = [{**one, "map": one["map"] + 0.1, "scores": scores} for one in plain]
    text = table_3({"no graph": base, "graph": better}, states)
    # The base ranks 0, 1, 0, 1: average precision 1/2; the better one 1.
    assert "| graph | 0.1 | 1.0 k | 50.00 ± 0.00 | 61.00 ± 2.48 | +10.00 ± 0.00 | +50.00 [" in text
    assert with_interval([0.5]) == "0.50"


def test_end_to_end_beside_its_control(
    trunk: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [str(photos / "labels.csv"), str(photos), str(tmp_path), "--backbone", "small_cnn", "--size", "16"]
    end_to_end([*call, "--trunk", str(trunk), "--direct-epochs", "1", "--epochs", "1", "--batch-size", "8"])
    said = capsys.readouterr().out
    assert "labels-small_cnn-cooccurrence-0, epoch 2: val mAP" in said
    assert "| no graph | 0." in said
    assert "| IML-GCN | " in said
