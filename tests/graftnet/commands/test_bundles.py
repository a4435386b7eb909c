"""graftnet bundle and graftnet export --target, from the command line of a project."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployment.bundle.variants import Took
from graftnet.cli import run
from tests.graftnet.grafts import make_grafts


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_grafts(tmp_path_factory.mktemp("bundles") / "project").folder


@pytest.fixture
def project(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    took = {"plain": Took(2.0, 0.0), "variant": Took(1.0, 0.0)}
    monkeypatch.setattr("deployment.bundle.variants.timed", lambda *_, rounds: took)
    return made


def answered(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert run([*arguments, "--json"]) == code
    record: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return record


@pytest.mark.usefixtures("project")
def test_a_bundles_life_by_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bundle = str(tmp_path / "bundle")
    answered(capsys, "export", "bright", "--out", bundle)
    assert answered(capsys, "bundle", "add", "shape", bundle)["added"] == "shape"
    assert list(answered(capsys, "bundle", "show", bundle)["branches"]) == ["bright", "shape"]
    picture = str(next(Path("data/images").rglob("*.*")))
    (row,) = answered(capsys, "predict", bundle, picture, "--attributes", "shape", "--graph", "joined")["predictions"]
    assert list(row["attributes"]) == ["shape"]
    assert "no branch 'hat'" in answered(capsys, "predict", bundle, picture, "--attributes", "hat", code=2)["error"]
    kept = answered(capsys, "bundle", "speed-up", bundle, "--by", "int8", "--loss", "1", "--images", "6")
    assert kept["kept"]
    assert {name: said["images"] for name, said in kept["scores"].items()} == {"bright": 6, "shape": 6}
    assert run(["bundle", "show", bundle]) == 0
    assert "shape: loses" in capsys.readouterr().out
    refused = answered(capsys, "bundle", "speed-up", bundle, "--by", "fused", code=2)
    assert "--by must be int8, is 'fused'; fused stems and float16 gained too little and are gone" in refused["error"]
    answered(capsys, "bundle", "remove", "bright", bundle)
    assert answered(capsys, "verify", bundle)["ok"]


@pytest.mark.usefixtures("project")
def test_other_forms(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    answered(capsys, "export", "bright", "--target", "triton", "--out", str(tmp_path / "models"))
    assert (tmp_path / "models" / "branch_bright" / "1" / "model.onnx").is_file()
    answered(capsys, "export", "bright", "--target", "torch", "--out", str(tmp_path / "source"))
    assert (tmp_path / "source" / "bright" / "branch.py").is_file()
    answered(capsys, "export", "bright", "--target", "pt2", "--out", str(tmp_path / "tree.pt2"))
    assert (tmp_path / "tree.pt2").is_file()
    said = answered(capsys, "export", "shape", "--target", "torch", "--out", str(tmp_path / "shape"), code=2)["error"]
    assert "'shape' was exported without source" in said
    assert not (tmp_path / "shape").exists()


def test_mistakes_are_one_sentence(project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        assert run(arguments) == 2
        text = capsys.readouterr().err
        assert text.count("\n") == 1
        return text

    (tmp_path / "empty").mkdir()
    assert "must be one of bundle, triton, torch, pt2" in said("export", "--all", "--target", "onnx")
    assert "holds no bundle.json" in said("bundle", "add", "bright", str(tmp_path / "empty"))
    assert "no sub-dataset for 'hat'" in said("bundle", "add", "hat", str(tmp_path / "empty"))
    assert "bundle.json cannot be read" in said("bundle", "show", str(tmp_path / "empty"))
    assert project.is_dir()
