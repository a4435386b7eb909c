"""`feature_precision = "auto"`: bfloat16 where it is measured to leave the features alone, once per trunk, kept."""

import json
import math
from pathlib import Path

import pytest
import torch

from graftnet.project.folder import Project, open_project
from graftnet.searches.features import cache_of
from graftnet.trunks.precision import feature_precision
from graftnet.trunks.versions import open_trunk
from tests.graftnet.searches.test_run import CONFIG, CPU, make_project
from trunk.features.precision import BOUND, bfloat16_error
from trunk.trunk import Trunk, trunk_state

AUTO = CONFIG.replace("[trunk]\n", '[trunk]\nfeature_precision = "auto"\n')


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """On a processor with bfloat16, whatever this one has."""
    monkeypatch.setattr("graftnet.trunks.precision.resolve_precision", lambda asked, _: {"auto": "bfloat16"}[asked])
    return make_project(tmp_path, 32, AUTO)


@pytest.mark.parametrize(
    ("error", "precision"),
    [(0.0, "bfloat16"), (BOUND, "bfloat16"), (BOUND * 1.01, "float32"), (math.inf, "float32")],
)
def test_the_bound_decides_and_is_measured_once(
    project: Project, error: float, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trunk = open_trunk(project, CPU)
    measured: list[Trunk] = []

    def measure(of: Trunk) -> float:
        measured.append(of)
        return error

    monkeypatch.setattr("graftnet.trunks.precision.bfloat16_error", measure)
    assert [feature_precision(project, trunk, CPU) for _ in range(2)] == [precision] * 2
    assert cache_of(project, trunk).origin["precision"] == precision
    assert measured == [trunk]
    (kept,) = project.cache.glob("*.precision.json")
    record = json.loads(kept.read_text())
    assert (record["precision"], record["bound"], record["fingerprint"]) == (precision, BOUND, trunk.fingerprint)
    for damaged in ("{", "[]", json.dumps(record | {"bound": 1.0}), json.dumps(record | {"relative_error": "0"})):
        kept.write_text(damaged)
        assert feature_precision(project, trunk, CPU) == precision
    assert len(measured) == 5


def test_what_is_set_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graftnet.trunks.precision.bfloat16_error", None)
    for precision in ("float32", "bfloat16"):
        folder = tmp_path / precision
        folder.mkdir()
        project = make_project(folder, 32, AUTO.replace('"auto"', f'"{precision}"'))
        assert feature_precision(project, open_trunk(project, CPU), CPU) == precision
        assert not list(project.cache.glob("*.precision.json"))


def test_features_of_both_formats_are_told_apart(tmp_path: Path) -> None:
    project = make_project(tmp_path, 32)
    trunk = open_trunk(project, CPU)
    folders = {precision: cache_of(project, trunk, precision).folder for precision in ("float32", "bfloat16")}
    assert folders["float32"] != folders["bfloat16"]


def test_the_error_is_that_of_rounding(tmp_path: Path) -> None:
    trunk = open_trunk(make_project(tmp_path, 32), CPU)
    error = bfloat16_error(trunk)
    assert 0 < error < 0.05
    assert bfloat16_error(trunk) == error
    with torch.no_grad():
        trunk_state(trunk.chain)["block3.1.weight"][0] = math.nan
    assert bfloat16_error(trunk) == math.inf
    assert open_project(tmp_path).config.trunk.feature_precision == "float32"
