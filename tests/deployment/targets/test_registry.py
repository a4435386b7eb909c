"""Every export target is written, listed by `graftnet export --help`, and documented in docs/deployment.md."""

import subprocess
import sys
from pathlib import Path

import pytest

from deployment.targets import TARGETS, Tree
from graftnet.cli import run
from tests.deployment.bundles import save_small, small_trunk

GUIDE = Path(__file__).parents[3] / "docs" / "deployment.md"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    trunk = small_trunk(0)
    return Tree(trunk, [save_small(tmp_path_factory.mktemp("tree") / "saved", trunk, "bald")])


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_written_where_it_is_asked_for(target: str, tree: Tree, tmp_path: Path) -> None:
    destination = tmp_path / f"tree{TARGETS[target].ending}"
    assert TARGETS[target].write(tree, destination) == destination
    assert list(tmp_path.iterdir()) == [destination]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_listed_and_documented(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("\u2502", " ").split())
    assert f"{target}: {TARGETS[target].help}, for {TARGETS[target].needs}" in shown
    assert f"`--target {target}`" in GUIDE.read_text(encoding="utf-8")


def test_targets_write_under_different_names() -> None:
    endings = [target.ending for target in TARGETS.values()]
    assert len(set(endings)) == len(endings)


def test_the_list_needs_no_torch() -> None:
    script = "import sys, deployment.targets; assert not {'torch', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
