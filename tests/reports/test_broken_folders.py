"""Folders with a file gone or cut, and folders far from data and networks: each still makes a page that says so."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reports.search.page import render
from reports.summaries.search import read_records
from search_spaces import micro_space
from tests.reports.search.test_page import Outline
from tests.reports.search_folder import write_search

ROOT = Path(__file__).parents[2]
FILES = (
    *("config.json", "result.json", "history.jsonl", "architecture.json", "predictions.csv", "pictures.json"),
    *("branch/branch.json", "branch/weights.safetensors"),
)
# A page needs no torch and no data: whoever asks for them here is refused.
ALONE = """
import sys

class Refused:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("torch", "torchvision", "timm", "subdatasets", "trunk", "branches", "graftnet"):
            raise ImportError(f"{name} is not on this machine")

sys.meta_path.insert(0, Refused())
from pathlib import Path
from reports import write_report
print(write_report(Path(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bald") / "s1"
    return write_search(made, epochs=2, updates=2, proposals=8, retrained=2)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_a_whole_folder_has_no_problem(folder: Path) -> None:
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(FILES)
    assert read_records(folder).problems == ()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [None, 0.0, 0.6], ids=["gone", "empty", "cut"])
def test_what_is_broken_is_named(copy: Path, name: str, share: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (copy / name).read_bytes()
    (copy / name).unlink()
    if share is not None:
        (copy / name).write_bytes(whole[: int(share * len(whole))])
    # The drawings themselves are made, only not written out: that is the slow part of a page.
    monkeypatch.setattr("reports.layout.pages.inline_svg", lambda *_: "")
    page = render(read_records(copy))
    Outline(page)
    said = page.partition('<section id="repeat"')[0]
    assert name in said


def test_a_page_is_made_where_there_is_no_torch_and_no_data(folder: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    command = [sys.executable, "-c", ALONE, str(moved)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    page = (moved / "report.html").read_text(encoding="utf-8")
    assert page == render(read_records(moved))
    assert "Not here" not in page
    refused = subprocess.run(
        [sys.executable, "-c", ALONE.replace("from reports", "import torch\nfrom reports"), str(moved)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "torch is not on this machine" in refused.stderr


def test_an_old_search_without_the_records_of_images_makes_a_page(copy: Path) -> None:
    for name in ("predictions.csv", "pictures.json"):
        (copy / name).unlink()
    page = render(read_records(copy))
    Outline(page)
    assert "What is missing" not in page
    assert page.count("Not here: predictions.csv, which a search writes at its end, is not in this folder.") == 1


def test_a_large_search_stays_under_five_megabytes(tmp_path: Path) -> None:
    space = micro_space(5, cells=3)
    write_search(tmp_path, epochs=200, updates=10, proposals=2000, retrained=12, space=space)
    page = render(read_records(tmp_path))
    assert len(page.encode()) < 5_000_000
    assert "2,000 architectures" in page
