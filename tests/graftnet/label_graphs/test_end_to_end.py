"""IML-GCN end to end from the command line: trained, continued, usable as a trunk, refused where it must be."""

import json
from pathlib import Path

import pytest

from graftnet.cli import run
from label_graph.saved import load_classifiers
from tests.graftnet.searches.test_run import CONFIG, make_project
from trunk.trunk import Trunk

QUICK = ["--direct-epochs", "1", "--epochs", "2", "--learning-rate", "0.003", "--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("end") / "", 48, f"{CONFIG}\n[label_graph]\nhidden = 8\n").folder


def test_a_project_is_trained_end_to_end_and_its_trunk_can_be_used(folder: Path, capsys: pytest.CaptureFixture[str]):
    call = ["graph", "end-to-end", *QUICK, "--project", str(folder)]
    assert run([*call, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    made = Path(answer["folder"])
    assert set(answer["stages"]) == {"direct", "graph"}
    for figures in answer["stages"].values():
        assert 0 <= figures["val"]["map"] <= 1
        assert 0 <= figures["test"]["map"] <= 1
    trunk = Trunk.load(made / "trunk")
    module, record = load_classifiers(made)
    assert record.fingerprint == trunk.fingerprint
    assert [label.name for label in record.labels] == ["bright", "corner"]
    assert module.linear.in_features == trunk.shapes[-1][0]
    assert [path.name for path in made.iterdir() if path.is_dir()] == ["trunk"]
    # finished: the same call changes nothing
    before = (made / "result.json").read_bytes()
    assert run(call) == 0
    assert "with the graph" in capsys.readouterr().out
    assert (made / "result.json").read_bytes() == before


def test_a_table_without_splits_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    image = next((folder / "data" / "images").rglob("*.png"))
    (tmp_path / "t.csv").write_text(f"path,hat\n{image},1\n")
    assert run(["graph", "end-to-end", str(tmp_path / "t.csv"), *QUICK, "--project", str(folder)]) == 2
    assert "needs two training images and val images" in capsys.readouterr().err
