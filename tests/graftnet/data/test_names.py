"""Names that no file may have everywhere: refused in one sentence wherever somebody names an attribute."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graftnet.cli import run
from subdatasets.attribute import Attribute, attribute_name, is_attribute_name, name_rule
from subdatasets.errors import DataError

WRONG = ("con", "NUL", "Aux", "com1", "LPT9", "prn.left", "bald.")
Said = Callable[..., str]


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """A project beside photos/no, photos/yes and a table; what a call that must fail says."""
    home = tmp_path / "home"
    assert run(["init", str(home)]) == 0
    lines = ["file,aux,hat"]
    for number in range(12):
        path = tmp_path / "photos" / ("no", "yes")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (6, 6, 3)).astype(np.uint8)).save(path)
        lines.append(f"{path},{number % 2},{number % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))

    def call(*words: str) -> str:
        capsys.readouterr()
        assert run([*words, "--project", str(home)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert not [path for path in (home / "data").glob("*") if path.suffix == ".csv"]
        return line

    return call


@pytest.mark.parametrize("name", WRONG)
def test_a_device_names_no_attribute(name: str) -> None:
    assert not is_attribute_name(name)
    with pytest.raises(DataError, match="not usable as a file name"):
        Attribute(name, ("no", "yes"))
    proposal = name_rule(name).rpartition("'")[0].rpartition("'")[2]
    assert is_attribute_name(proposal)


@pytest.mark.parametrize("name", ["console", "auxiliary", "com", "lpt", "com10", "nul1", "prnt", "a.con"])
def test_names_that_only_begin_like_a_device(name: str) -> None:
    assert is_attribute_name(name)
    assert attribute_name(name) == name


def test_refused_by_every_command_that_names_one(said: Said, tmp_path: Path) -> None:
    photos, table = str(tmp_path / "photos"), str(tmp_path / "labels.csv")
    assert "Windows keeps 'con' for a device" in said("data", "import", photos, "--name", "con")
    assert "Windows keeps 'NUL' for a device" in said("add", "NUL", photos)
    assert "'aux' cannot name an attribute: Windows keeps 'aux'" in said("data", "import", table)
    assert "Windows keeps 'aux'" in said("data", "import", table, "--only", "aux")
    np.savez(tmp_path / "con.npz", x_train=np.zeros((2, 4)))
    assert "'con.npz' cannot name an attribute" in said("search", "--features", str(tmp_path / "con.npz"))


def test_one_that_lies_there_is_told_by_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path / "home")]) == 0
    (tmp_path / "home/data").mkdir(exist_ok=True)
    (tmp_path / "home/data/lpt1.csv").write_text("path,label\n")
    capsys.readouterr()
    assert run(["data", "check", "--project", str(tmp_path / "home")]) == 2
    assert "the name 'lpt1' cannot name an attribute (rename it: Windows keeps 'lpt1'" in capsys.readouterr().out
