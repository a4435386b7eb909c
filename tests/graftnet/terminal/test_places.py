"""Places that cannot be written to: one sentence that names them, and nothing of the user's changed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deployment.errors import BundleError
from deployment.serve.server import _listen
from graftnet.cli import run
from tests.graftnet.test_old_world import ARCHIVE

WRITING = {
    "export": ("export", "loop", "--out"),
    "bundle": ("export", "--all", "--out"),
    "labels": ("data", "labels", "-o"),
    "files": ("report", "loop", "--files"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path / "project")
    (tmp_path / "project/mine").write_text("mine")
    (tmp_path / "project/ring").symlink_to("ring")
    (tmp_path / "project/dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "project/link").symlink_to("mine")
    return tmp_path / "project"


@pytest.mark.parametrize("place", ["mine", "link", "mine/deeper", "link/a/b", "dangling", "ring", "ring/a", "x" * 300])
@pytest.mark.parametrize("command", WRITING)
def test_a_place_that_cannot_be_is_one_sentence(
    command: str, place: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in project.iterdir())
    assert run([*WRITING[command], place]) == 2
    said = capsys.readouterr().err
    assert place.split("/")[0] in said
    assert "A bug" not in said
    assert sorted(path.name for path in project.iterdir()) == before
    assert (project / "mine").read_text() == "mine"
    assert not (project.parent / "nowhere").exists()


LIMITED = """
import resource, sys
from graftnet.cli import run
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize("command", [("init", "new"), ("export", "loop"), ("graft", "loop")])
def test_a_file_that_may_not_grow_is_no_bug(command: tuple[str, ...], project: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", LIMITED, *command], capture_output=True, text=True, check=False)
    assert (ended.returncode, "A bug" in ended.stderr) == (2, False), ended.stderr
    assert "File too large" in ended.stderr or "larger than this disk or `ulimit -f` allows" in ended.stderr
    assert not (project / "new/graftnet.toml").exists()


@pytest.mark.parametrize("host", ["\u200b", "a\0b", f"{'a' * 64}.example", "*", "-1", "\ud800", "[::1", "300.1.1.1"])
def test_a_host_that_cannot_be_is_one_sentence(host: str) -> None:
    with pytest.raises(BundleError, match=r"cannot listen at .*choose another --host"):
        _listen(host, 0)
