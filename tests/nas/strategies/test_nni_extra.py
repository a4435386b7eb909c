"""Without pytorch-lightning everything but NNI's strategies works; with it, NNI keeps to itself."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.nas.extra import needs_nni

ROOT = Path(__file__).resolve().parents[3]
BLOCKED = """
import importlib, pkgutil, sys
for name in ("pytorch_lightning", "lightning"):
    sys.modules[name] = None  # an import of it fails, and it is not found, as where it is not installed
"""


def blocked(code: str) -> str:
    """What the code prints where pytorch-lightning is not installed."""
    finished = subprocess.run(
        [sys.executable, "-c", BLOCKED + code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_every_module_but_nnis_imports_without() -> None:
    printed = blocked(
        """
import graftnet.cli, nas
from nas.errors import SearchError
needing = []
for found in pkgutil.walk_packages(nas.__path__, "nas."):
    try:
        importlib.import_module(found.name)
    except SearchError as error:
        assert "pip install 'graftnet[nni]'" in str(error), error
        needing.append(found.name.rpartition(".")[2])
for room in ("graftnet", "reports", "search_spaces", "branches", "trunk", "deployment"):
    for found in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
assert not any(name.startswith("nni.nas") for name in sys.modules)
print(*needing)
"""
    )
    assert printed.split() == ["nni_darts", "nni_mixture", "nni_search"]


def test_what_needs_it_says_in_one_sentence_what_to_install() -> None:
    printed = blocked(
        """
from graftnet.project.config import parse_config
from graftnet.terminal.failures import explain
from graftnet.project.settings import job_settings
from nas.strategies.searches import STRATEGIES
from search_spaces import macro_space
for call in (
    lambda: STRATEGIES["nni-random"](macro_space(1), lambda one: 0.0, 1, seed=0),
    lambda: job_settings(parse_config('[search]\\nstrategy = "nni-darts"'), with_tail=False, device="cpu"),
    lambda: job_settings(parse_config('[controls]\\nstrategies = ["nni-evolution"]'), with_tail=False, device="cpu"),
):
    try:
        call()
    except Exception as error:
        print(*explain(error))
"""
    )
    sentence = "NNI's strategies need pytorch-lightning; install it with: pip install 'graftnet[nni]'. 2"
    assert printed.splitlines() == [sentence] * 3


def test_what_make_test_installs_holds_the_extra() -> None:
    """So that none of NNI's tests is skipped there."""
    metadata = ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    extras = {name: set(metadata["options.extras_require"][name].split("\n")) - {""} for name in ("nni", "dev")}
    assert extras["nni"]
    assert extras["nni"] <= extras["dev"]


@needs_nni
def test_nni_writes_nothing_to_the_terminal_or_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from nas.strategies.searches import STRATEGIES
    from search_spaces import macro_space

    monkeypatch.chdir(tmp_path)
    space = macro_space(1, widths=(4,), depths=(1,), operations=("conv3x3",), activations=("relu",))
    for name in ("nni-random", "nni-evolution"):  # both exhaust the space, of which NNI warns
        assert len(STRATEGIES[name](space, lambda one: 0.5, 50, seed=0)) == space.size
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
