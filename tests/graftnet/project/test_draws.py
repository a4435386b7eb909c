"""Sub-datasets in data/ that say no splits: what was test stays test when they grow, in projects of before too."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graftnet.cli import run
from graftnet.project.draws import notes_of
from graftnet.project.folder import Project, open_project
from graftnet.searches.plan import SearchPlan
from nas.settings import JobSettings
from subdatasets.image_files import content_hashes
from subdatasets.subdataset import SubDataset, read_subdataset


def grow(folder: Path, begin: int, end: int) -> None:
    for number in range(begin, end):
        path = folder / ("no", "yes")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (6, 6, 3)).astype(np.uint8)).save(path)


def table_of(folder: Path, csv: Path, count: int) -> None:
    grow(folder, 0, count)
    rows = [f"{folder / ('no', 'yes')[number % 2] / f'{number}.png'},{number % 2}" for number in range(count)]
    csv.write_text("\n".join(["path,label", *rows]))


def splits(subdataset: SubDataset) -> dict[str, str]:
    return {example.path.name: example.split for example in subdataset.examples}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "graftnet.toml").write_text("[project]\nseed = 5\n")
    return open_project(tmp_path)


@pytest.mark.parametrize("form", ["folder", "table"])
def test_a_new_project_draws_by_content(project: Project, form: str, tmp_path: Path) -> None:
    before: dict[str, str] = {}
    for count in (12, 60, 61, 120, 400):
        if form == "folder":
            grow(project.data / "hat", 0, count)
        else:
            (project.data).mkdir(exist_ok=True)
            table_of(tmp_path / "photos", project.data / "hat.csv", count)
        read = project.read("hat")
        assert read.drawn == "content"
        after = splits(read)
        assert before.items() <= after.items()
        shares = [list(after.values()).count(split) / count for split in ("train", "val", "test")]
        assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.03 if count > 12 else 0.1)
        before = after
    assert project.read("hat") == read
    assert set(before.values()) == {"train", "val", "test"}
    notes = notes_of(project.runs, "hat", keep=False)
    assert notes is not None
    assert sum(len(listed) for listed in notes.record["splits"].values()) == 400


def test_val_out_of_train_stays_too(project: Project) -> None:
    def fill(split: str, begin: int, end: int) -> None:
        grow(project.data / "hat" / split, begin, end)

    fill("train", 0, 90)
    fill("test", 1000, 1040)
    before = splits(project.read("hat"))
    fill("train", 90, 130)
    after = splits(project.read("hat"))
    assert before.items() <= after.items()
    assert {after[f"{number}.png"] for number in range(1000, 1040)} == {"test"}


@pytest.mark.parametrize(
    ("record", "content"),
    [
        ("searches/hat/1/history.jsonl", ""),
        ("searches/hat/1/config.json", "{}"),
        ("trunk/abc/trunk.json", '{"data": {"hat": "0"}}'),
        ("label_graph/1/result.json", '{"data": {"hat": "0"}}'),
        ("studies/1/study.json", '{"attribute": "hat"}'),
    ],
)
def test_what_was_learnt_from_keeps_its_draw_until_it_is_written_down(
    project: Project, record: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    grow(project.data / "hat", 0, 60)
    grow(project.data / "other", 0, 60)
    path = project.runs / record
    path.parent.mkdir(parents=True)
    path.write_text(content)
    as_before = read_subdataset(project.data / "hat", seed=5)
    hashes = content_hashes([example.path for example in as_before.examples])
    found = project.read("hat")
    assert found.drawn == "list"
    assert found.digest(hashes) == as_before.digest(hashes)  # searches of before stay current
    assert project.read("other").drawn == "content"
    plan = SearchPlan(project, found, hashes, JobSettings.__new__(JobSettings), {}, "")
    assert "`graftnet data check hat --write-split` writes them down" in plan.drawn_sentence
    call = ["data", "check", "hat", "--project", str(project.folder)]
    assert run(call) == 0
    assert "drawn from the whole list each time it is read" in capsys.readouterr().out
    assert run([*call, "--write-split", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["written"] == {"hat": str(project.data / "hat.import.json")}
    assert not any("whole list" in problem["message"] for problem in said["problems"])
    assert project.read("hat").digest(hashes) == as_before.digest(hashes)
    grow(project.data / "hat", 60, 130)
    grown = project.read("hat")
    assert splits(as_before).items() <= splits(grown).items()
    assert SearchPlan(project, grown, hashes, plan.settings, {}, "").drawn_sentence == ""


def test_looking_notes_nothing_and_use_does(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    grow(project.data / "hat", 0, 60)
    assert run(["data", "check", "--project", str(project.folder)]) == 0
    assert "it says no splits: each image's is drawn from its content, and stays" in capsys.readouterr().out
    assert not project.runs.exists()
    first = project.read("hat")
    path = project.runs / "searches/hat/1/config.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert project.read("hat").examples == first.examples  # its own search does not make it an old one
    shutil.rmtree(project.runs / "splits")
    assert project.read("hat").examples != first.examples


def test_an_import_over_a_table_without_splits_keeps_them(project: Project, tmp_path: Path) -> None:
    project.data.mkdir()
    table_of(tmp_path / "photos", project.data / "hat.csv", 60)
    before = splits(project.read("hat"))
    grow(tmp_path / "photos", 60, 100)
    call = ["data", "import", str(tmp_path / "photos"), "--name", "hat", "--project", str(project.folder)]
    assert run(call) == 2
    assert run([*call, "--replace"]) == 0
    after = project.read("hat")
    assert after.drawn == ""
    assert before.items() <= splits(after).items()


def test_a_damaged_note_draws_anew_and_says_nothing_wrong(project: Project) -> None:
    grow(project.data / "hat", 0, 60)
    drawn = splits(project.read("hat"))
    for broken in ('{"splits": {"train": 3, "test": [1, null]}}', '{"splits": []}', "{", "[]"):
        (project.data / "hat.import.json").write_text(broken)
        assert splits(project.read("hat")) == drawn
