"""--strategy and the settings behind it, from the command line to the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.project.config import Config
from graftnet.project.overrides import Overrides
from tests.nas.conftest import make_split
from tests.nas.extra import with_nni_marked

CONFIG = """
[search]
nodes = 2
widths = [2, 4]
trials = 4
trial_epochs = 1
epochs = 2
warmup_epochs = 1
batch_size = 32
updates_per_epoch = 1
samples_per_update = 2
hidden = 8
candidates = 4
retrain_top = 2
choice = "searched"
[retrain]
epochs = 2
repeats = 1
[controls]
linear_probe = false
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "graftnet.toml").write_text(CONFIG)
    arrays: dict[str, Any] = {}
    for seed, (split, count) in enumerate((("train", 96), ("val", 60), ("test", 80))):
        data = make_split(count, seed)
        arrays[f"x_{split}"] = data.features.gather(data.labels.new_tensor(range(count))).numpy()
        arrays[f"y_{split}"] = data.labels.numpy()
    np.savez(tmp_path / "toy.npz", **arrays)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def search(*options: str) -> int:
    return run(["search", "--features", "toy.npz", "--device", "cpu", "--json", *options])


@pytest.mark.parametrize("strategy", with_nni_marked(("enas", "local", "surrogate", "nni-evolution", "nni-darts")))
def test_each_kind_of_strategy_ends_in_a_report(
    strategy: str, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert search("--strategy", strategy) == 0
    record = json.loads(capfd.readouterr().out.splitlines()[-1])
    result = json.loads((Path(record["folder"]) / "result.json").read_text())
    assert result["strategy"] == strategy
    page = Path(record["report"]).read_text()
    assert ("with shared weights" in page) == (strategy == "enas")
    assert ("after a short training" in page) == (strategy not in ("enas", "nni-darts"))
    assert ("best so far" in page) == (strategy != "nni-darts")
    assert "no child epoch has been recorded" not in page
    assert "no controller update has been recorded" not in page
    assert not list(project.glob("lightning_logs"))


def test_each_strategy_is_a_search_of_its_own(project: Path) -> None:
    for strategy in ("local", "random", "local"):
        assert search("--strategy", strategy) == 0
    assert len(list(project.glob("runs/features/toy/*/result.json"))) == 2


def test_strategies_to_compare_with_come_from_the_settings(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "graftnet.toml").write_text(CONFIG + 'strategies = ["local", "controller"]\n')
    assert search() == 0
    record = json.loads(capfd.readouterr().out.splitlines()[-1])
    page = Path(record["report"]).read_text()
    assert "over the best that local found" in record["verdict"]
    for name in ("local search", "controller, short trainings"):
        assert name in page


def test_an_unknown_strategy_is_named(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert search("--strategy", "magic") == 2
    assert "--strategy must be one of enas, controller, random" in capfd.readouterr().err
    assert not (project / "runs").exists()


def test_the_calls_strategy_goes_before_the_settings() -> None:
    config = Config()
    assert Overrides().applied(config) == config
    assert Overrides(strategy="local").applied(config).search.strategy == "local"
    assert Overrides(strategy="local").applied(config).search.nodes == config.search.nodes
    with pytest.raises(ConfigError, match="'magic'"):
        Overrides(strategy="magic")
