"""A project and a bundle from before the rebuild (of e49e707) are read, reported, exported and served as ever.

`old_world.zip` was made by the command line of that commit: 32 of scikit-learn's digits as two attributes, `loop` on
the macro space and `range`, of three values, on the micro space; a small trunk, a label graph, a study of the depth,
and a bundle of both branches. Left out is what is computed again: caches, checkpoints, pages. One thing was not written
by that commit's commands: between training and search most of the trunk's weights were set to zero, so that the file
stays small, and its fingerprint was computed anew.
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from graftnet.cli import run
from tests.deployment.serve.conftest import serving
from trunk.precision import resolve_precision

ARCHIVE = Path(__file__).with_name("old_world.zip")
ATTRIBUTES = ("loop", "range")
STUDY = ("--trials", "2", "--depths", "1,2", "--epochs", "2", "--draws", "1")
# `graftnet predict bundle project/photos/NN.png --json` of e49e707 on onnxruntime 1.32.0; they show every value.
PREDICTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "00.png": {
        "loop": {
            "value": "0",
            "scores": {"0": 0.436368048, "1": 0.563631952},
            "calibrated": {"0": 0.496801098, "1": 0.503198902},
        },
        "range": {
            "value": "small",
            "scores": {"large": 0.304554969, "medium": 0.34673062, "small": 0.348714441},
            "calibrated": {"large": 0.331862192, "medium": 0.334021256, "small": 0.334116552},
        },
    },
    "13.png": {
        "loop": {
            "value": "0",
            "scores": {"0": 0.414958805, "1": 0.585041165},
            "calibrated": {"0": 0.495706315, "1": 0.504293685},
        },
        "range": {
            "value": "large",
            "scores": {"large": 0.358212829, "medium": 0.332481742, "small": 0.3093054},
            "calibrated": {"large": 0.334563772, "medium": 0.333319134, "small": 0.332117094},
        },
    },
    "26.png": {
        "loop": {
            "value": "1",
            "scores": {"0": 0.371326417, "1": 0.628673613},
            "calibrated": {"0": 0.493418741, "1": 0.506581259},
        },
        "range": {
            "value": "medium",
            "scores": {"large": 0.348246813, "medium": 0.370841742, "small": 0.280911446},
            "calibrated": {"large": 0.334172994, "medium": 0.335225018, "small": 0.330601988},
        },
    },
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy with the folders `project`, which is the working directory, and `bundle`."""
    torch.set_num_threads(1)
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def answered(capfd: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What a command answers with --json; it writes no complaint."""
    capfd.readouterr()
    assert run([*words, "--json"]) == 0, capfd.readouterr().err
    record: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])
    return record


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but pages and cards, which are written again, locks, and what is remembered of files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix not in (".html", ".md", ".lock", ".sqlite")
        and path.parent != folder / "runs" / "standing"
    }


def predicted(capfd: pytest.CaptureFixture[str], bundle: Path) -> dict[str, dict[str, Any]]:
    """What a bundle says of every picture, by its name."""
    pictures = sorted(Path("photos").iterdir())
    rows = answered(capfd, "predict", str(bundle), *map(str, pictures))["predictions"]
    return {Path(row["image"]).name: row["attributes"] for row in rows}


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_result_is_current(attribute: str, world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder,) = (world / "project" / "runs" / "searches" / attribute).glob("[!.]*")
    tail = json.loads((folder / "config.json").read_text())["settings"]["tail"]
    if tail and tail["precision"] != resolve_precision("auto", torch.device("cpu")):
        pytest.skip("the tail's number format, which is a setting of the search, is another on this processor")
    before = contents(world / "project")
    assert run(["search", attribute, "--device", "cpu", "--json"]) == 0
    said = capfd.readouterr()
    assert said.err == ""  # nothing is searched anew, or continued
    record = json.loads(said.out.splitlines()[-1])
    assert Path(record["folder"]) == folder
    assert record["architecture"] == json.loads((folder / "architecture.json").read_text())
    assert contents(world / "project") == before


def test_every_page_is_written(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = contents(world / "project")
    written = answered(capfd, "report")
    assert set(written["reports"]) == set(ATTRIBUTES)
    for attribute, page in written["reports"].items():
        result = json.loads((Path(page).parent / "result.json").read_text())
        text = Path(page).read_text(encoding="utf-8")
        assert f"{result['test']['auroc']:.3f}" in text
        assert attribute in text
        assert "data:image/png;base64," in text
        assert (Path(page).parent / "card.md").is_file()
    fleet = json.loads(Path(written["fleet"]).with_suffix(".json").read_text())
    assert {entry["attribute"] for entry in fleet["attributes"]} == set(ATTRIBUTES)
    assert Path(written["fleet"]).is_file()
    after = contents(world / "project")
    assert {name: after[name] for name in before} == before


def test_grafted_and_exported_again_it_predicts_the_same(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for attribute in ATTRIBUTES:
        answered(capfd, "graft", attribute)
    answered(capfd, "export", "--all", "--out", str(world / "again"))
    assert answered(capfd, "verify", str(world / "again"))["ok"]
    old, new = (json.loads((world / name / "bundle.json").read_text()) for name in ("bundle", "again"))
    assert new["fingerprint"] == old["fingerprint"]
    expected, found = predicted(capfd, world / "bundle"), predicted(capfd, world / "again")
    assert len(expected) == 32
    for picture, attributes in expected.items():
        for name, answer in attributes.items():
            again = found[picture][name]
            assert again["value"] == answer["value"]
            assert again["threshold"] == answer["threshold"]
            assert again["scores"] == pytest.approx(answer["scores"], abs=1e-6)
            assert again["calibrated"] == pytest.approx(answer["calibrated"], abs=1e-6)


def test_the_bundle_is_what_was_exported(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    verdict = answered(capfd, "verify", str(world / "bundle"))
    assert [check["branch"] for check in verdict["branches"]] == ["trunk", *ATTRIBUTES, "joined"]
    assert all(check["ok"] for check in verdict["branches"])
    for attribute in ATTRIBUTES:
        assert answered(capfd, "verify", str(world / "bundle" / attribute))["ok"]
    assert answered(capfd, "bundle", "show", str(world / "bundle"))


def test_its_own_runtime_verifies_it(world: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-I", str(world / "bundle" / "runtime.pyz"), "verify"],
        cwd=world,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split()[:2] for line in said.stdout.splitlines()] == [
        ["ok", f"{part}:"] for part in ("trunk", *ATTRIBUTES, "joined")
    ]


def test_it_predicts_what_it_predicted(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = predicted(capfd, world / "bundle")
    for picture, attributes in PREDICTIONS.items():
        for name, expected in attributes.items():
            assert found[picture][name]["value"] == expected["value"]
            for scores in ("scores", "calibrated"):
                assert found[picture][name][scores] == pytest.approx(expected[scores], abs=1e-6)


def test_it_is_served(world: Path) -> None:
    with serving(world / "bundle") as client:
        for picture, attributes in PREDICTIONS.items():
            data = (world / "project" / "photos" / picture).read_bytes()
            answer = client.post("/predict", content=data, headers={"content-type": "image/png"})
            assert answer.status_code == 200, answer.text
            (row,) = answer.json()["predictions"]
            for name, expected in attributes.items():
                assert row["attributes"][name]["value"] == expected["value"]
                assert row["attributes"][name]["scores"] == pytest.approx(expected["scores"], abs=1e-6)


def test_the_trunk_is_in_use(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status = answered(capfd, "trunk", "status")
    (version,) = (world / "project" / "runs" / "trunk").glob("*/trunk.json")
    assert status["version"] == version.parent.name
    assert (status["learnt"], status["grafted"]) == (list(ATTRIBUTES), list(ATTRIBUTES))
    assert status["added"] == []
    again = answered(capfd, "trunk", "train", "--device", "cpu")  # the same data, settings and seed: it is there
    assert again["in_use"]
    assert Path(again["folder"]).name == status["version"]


def test_the_label_graph_is_current(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runs = answered(capfd, "graph", "list")["runs"]
    before = contents(world / "project")
    trained = answered(capfd, "graph", "train", "--device", "cpu")
    assert [run_["folder"] for run_ in runs] == [trained["folder"]]
    assert contents(world / "project") == before
    assert Path(answered(capfd, "graph", "report")["report"]).is_file()
    exported = Path(answered(capfd, "graph", "export", str(world / "graph"))["folder"])
    assert json.loads((exported / "label_graph.json").read_text())["labels"]


def test_the_study_is_shown_and_found_finished(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shown = answered(capfd, "tune", "show", "loop")
    assert (shown["settled"], shown["wanted"]) == (2, 2)
    assert Path(shown["report"]).is_file()
    record = Path(shown["folder"]) / "study.json"
    trials = json.loads(record.read_text())["trials"]
    again = answered(capfd, "tune", "depth", "loop", *STUDY, "--device", "cpu")
    assert again["name"] == shown["name"]
    assert json.loads(record.read_text())["trials"] == trials
