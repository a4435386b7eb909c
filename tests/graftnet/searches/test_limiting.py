"""The limits of a call: over graftnet.toml's, in a search folder of their own, wrong ones one sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.project.config import parse_config
from graftnet.project.overrides import Overrides
from graftnet.project.settings import search_settings
from nas.limits.limits import Limits

TOML = """
[search]
epochs = 2
warmup_epochs = 1
updates_per_epoch = 1
samples_per_update = 2
candidates = 4
retrain_top = 1
choice = "searched"
nodes = 2
widths = [4, 8]
{more}
[retrain]
epochs = 1
repeats = 1
[controls]
linear_probe = false
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for split, rows in (("train", 60), ("val", 30)):
        labels = np.arange(rows) % 2
        arrays[f"x_{split}"] = (rng.normal(size=(rows, 5, 2, 2)) + labels[:, None, None, None]).astype(np.float32)
        arrays[f"y_{split}"] = labels
    np.savez(tmp_path / "mine.npz", **arrays)  # type: ignore[arg-type]
    (tmp_path / "graftnet.toml").write_text(TOML.format(more=""))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def result(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[str, dict[str, object]]:
    assert run(["search", "--features", "mine.npz", "--device", "cpu", "--json", *options]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    found: dict[str, object] = json.loads((Path(record["folder"]) / "result.json").read_text())
    return record["folder"], found


def test_a_call_with_limits_is_a_search_of_its_own(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free, unlimited = result(capsys)
    assert unlimited["limits"] == {}
    folder, found = result(capsys, "--max-parameters", "120", "--max-macs", "1e3")
    assert folder != free
    assert found["limits"] == {"parameters": 120, "macs": 1000}
    assert all(one["parameters"] <= 120 and one["macs"] <= 1000 for one in found["front"])  # type: ignore[attr-defined]
    assert found["parameters"] <= 120  # type: ignore[operator]
    page = (Path(folder) / "report.html").read_text()
    assert "at most 120 parameters and 1,000 MACs" in page
    assert result(capsys, "--max-parameters", "120", "--max-macs", "1e3")[0] == folder
    (project / "graftnet.toml").write_text(TOML.format(more="max_parameters = 120\nmax_macs = 1e3"))
    assert result(capsys)[0] == folder, "the same limits by file"


def test_limits_that_nothing_keeps_are_one_sentence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "--features", "mine.npz", "--device", "cpu", "--max-parameters", "20"]) == 2
    error = capsys.readouterr().err
    assert "No architecture of this macro space has at most 20 parameters; the smallest found has" in error
    assert "raise --max-parameters" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_parameters": 0.0}, "--max-parameters must be above 0, is 0; leave it out for no limit."),
        ({"max_parameters": 10.5}, "--max-parameters must be a whole number, is 10.5."),
        ({"max_macs": -5e6}, "--max-macs must be above 0, is -5e+06; leave it out for no limit."),
        ({"max_latency": float("nan")}, "--max-latency must be above 0, is nan; leave it out for no limit."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_limits_are_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Overrides(**options)
    assert str(refused.value) == sentence


def test_what_is_given_replaces_what_is_in_the_file() -> None:
    config = parse_config("[search]\nmax_parameters = 500\nmax_latency = 2.0\nepochs = 7")
    both = Overrides(max_parameters=300, max_macs=1e6).applied(config)
    assert search_settings(both).limits == Limits(300, 1e6, 2.0)
    assert both.search.epochs == 7
    assert Overrides().applied(config) == config
