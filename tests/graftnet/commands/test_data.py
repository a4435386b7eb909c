"""graftnet data: a table and a folder in, and what is wrong with them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graftnet.cli import run

IMAGES = 24


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a folder of photos beside it and a table of two attributes, one of them half unknown."""
    rng = np.random.default_rng(0)
    photos = tmp_path / "photos"
    photos.mkdir()
    lines = ["file,bald,hat"]
    for number in range(IMAGES):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(photos / f"{number}.png")
        lines.append(f"{number}.png,{number % 2},{'' if number < IMAGES // 2 else number % 3 // 2}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert run(["init", str(tmp_path / "people")]) == 0
    monkeypatch.chdir(tmp_path / "people")
    return tmp_path / "people"


def test_table_becomes_sub_datasets_without_mistakes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "import", "../labels.csv", "--images", "../photos", "--json"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    totals = {
        name: sum(sum(split.values()) for split in counts.values()) for name, counts in record["attributes"].items()
    }
    assert totals == {"bald": IMAGES, "hat": IMAGES // 2}
    assert run(["data", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["errors"] == 0


def test_check_names_the_broken_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "import", "../labels.csv", "--images", "../photos", "--column", "bald"]) == 0
    (project.parent / "photos" / "3.png").write_bytes(b"no image")
    capsys.readouterr()
    assert run(["data", "check", "bald", "--json"]) == 2
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["errors"] == 1
    assert "3.png" in json.dumps(record["problems"][0])


def test_folder_becomes_a_sub_dataset_of_the_given_name(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, path in enumerate(sorted((project.parent / "photos").iterdir())):
        target = project.parent / "sorted" / ("yes" if number % 2 else "no")
        target.mkdir(parents=True, exist_ok=True)
        path.rename(target / path.name)
    assert run(["data", "import", "../sorted", "--name", "bald"]) == 0
    assert f"bald: {IMAGES} images" in capsys.readouterr().out
    assert (project / "data" / "bald.csv").is_file()


def test_two_sub_datasets_of_one_name_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "data" / "bald").mkdir()
    assert run(["data", "import", "../photos", "--name", "bald"]) == 2
    assert "bald has a sub-dataset already" in capsys.readouterr().err
