"""The wheel that users install: everything the packages need is in it, and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.test_house import HOUSE, ROOMS

ALIEN = shutil.ignore_patterns("__pycache__", "*.egg-info")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy, so that no build/ is left in the checkout."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for room in ROOMS:
        shutil.copytree(HOUSE / room, source / room, ignore=ALIEN)
    for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(HOUSE / file, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    built = subprocess.run([*pip, str(target), str(source)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (packed,) = target.glob("graftnet-*.whl")
    return zipfile.ZipFile(packed)


def test_it_holds_every_file_of_the_rooms_and_no_other(wheel: zipfile.ZipFile) -> None:
    ours = {
        path.relative_to(HOUSE).as_posix()
        for room in ROOMS
        for path in (HOUSE / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {entry for entry in wheel.namelist() if ".dist-info/" not in entry}
    assert any(not path.endswith(".py") for path in ours)  # templates, pages
    assert held == ours


def test_it_says_how_it_is_called_and_where_it_runs(wheel: zipfile.ZipFile) -> None:
    (folder,) = {entry.split("/")[0] for entry in wheel.namelist() if ".dist-info/" in entry}
    about = Parser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert about["Requires-Python"] == ">=3.11"
    versions = {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)}
    assert versions <= set(about.get_all("Classifier", []))
    assert "graftnet = graftnet.cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()


@pytest.mark.parametrize("minor", [12, 13])
def test_other_interpreters_read_every_file(minor: int, tmp_path: Path) -> None:
    named = [shutil.which(f"python3.{minor}"), *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")]
    runs = [str(path) for path in named if path and subprocess.run([path, "-V"], capture_output=True).returncode == 0]
    if not runs:
        pytest.skip(f"python3.{minor} is not on this machine")
    script = (
        "import pathlib, sys, warnings; warnings.simplefilter('error');"
        "files = [p for room in sys.argv[2:] for p in pathlib.Path(sys.argv[1], room).rglob('*.py')];"
        "[compile(p.read_text(encoding='utf-8'), str(p), 'exec') for p in files]; print(len(files))"
    )
    read = subprocess.run([runs[0], "-c", script, str(HOUSE), *ROOMS], capture_output=True, text=True)
    assert read.returncode == 0, read.stderr
    assert int(read.stdout) > 100
