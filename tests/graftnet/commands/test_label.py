"""graftnet label on a project with a trunk: growing from nothing, from examples, from a table; review; mistakes."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deployment.serve.server import Listening
from graftnet.cli import run
from graftnet.data.labelling.begin import LabelChoices, opened
from graftnet.project.folder import Project, open_project
from subdatasets.image_files import content_hash
from subdatasets.subdataset import read_subdataset
from tests.graftnet.data.labelling.made import answer_page, paint
from tests.graftnet.searches.test_run import CONFIG, CPU, make_project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a trunk, and pictures: one twice, one broken, one with a name that no table keeps."""
    folder = tmp_path_factory.mktemp("label")
    (folder / "project").mkdir()
    make_project(folder / "project", 40, CONFIG)
    paths = paint(folder / "pool", 60, hostile=True)
    shutil.copy(paths[7], folder / "pool" / "again.png")
    (folder / "pool" / "broken.png").write_bytes(b"\x89PNG\r\n")
    shutil.copy(paths[8], folder / "pool" / "twice.png ")
    shutil.copy(paths[8], folder / "pool" / " first.png")
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> tuple[Project, Path]:
    shutil.copytree(made, tmp_path / "copy")
    return open_project(tmp_path / "copy" / "project"), tmp_path / "copy" / "pool"


def test_from_nothing_to_a_sub_dataset_that_a_search_takes(home: tuple[Project, Path]) -> None:
    project, pool = home
    with opened(project, "shiny", pool, LabelChoices(page=10, who="me"), device=CPU) as work:
        assert len(work.pool.contents) == 60
        assert work.pool.left_out["pictures that cannot be decoded"] == 1
        assert work.pool.left_out["copies of another picture, asked about once"] == 2
        assert work.pool.left_out["names that a table cannot hold"] == 1
        assert answer_page(work)
    with opened(project, "shiny", pool, LabelChoices(page=20, who="you"), device=CPU) as work:
        assert work.counts()["left"] == 50
        while answer_page(work):
            pass
    subdataset = project.read("shiny")
    assert subdataset.attribute.values == ("no", "yes")
    assert len(subdataset.examples) == 60
    assert "shiny" in project.questions()
    kept = [json.loads(line) for line in (project.data / "shiny.answers.jsonl").read_text().splitlines()]
    assert [record["kind"] for record in kept].count("begin") == 1
    assert {record.get("who") for record in kept[1:]} == {"me", "you"}


def test_examples_are_train_and_are_learnt_from(home: tuple[Project, Path], tmp_path: Path) -> None:
    project, pool = home
    found = paint(tmp_path / "found", 11)[10:]
    choices = LabelChoices(examples=(f"yes={tmp_path / 'found'}", f"no={pool / '011.png'}"), page=10)
    for path in (tmp_path / "found").iterdir():
        if path not in found:
            path.unlink()
    Image.fromarray(np.full((6, 6, 3), 250, np.uint8)).save(tmp_path / "found" / "new.png")
    for _ in range(2):
        with opened(project, "shiny", pool, choices, device=CPU) as work:
            assert work.counts()["counts"] == {
                "no": {"train": 1, "val": 0, "test": 0},
                "yes": {"train": 2, "val": 0, "test": 0},
            }
            assert work.undo("a")["picture"] is None


def test_a_table_that_is_there_grows_and_keeps_its_splits(home: tuple[Project, Path]) -> None:
    project, pool = home
    before = {row.path: (row.value, row.split) for row in project.read("bright").examples}
    with opened(project, "bright", pool, LabelChoices(page=10), device=CPU) as work:
        assert work.values == ("no", "yes")
        answer_page(work)
    after = {row.path: (row.value, row.split) for row in project.read("bright").examples}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 10


def test_review_asks_about_conflicts_and_sure_mistakes_and_can_be_taken_back(home: tuple[Project, Path]) -> None:
    project, _ = home
    path = project.data / "bright.csv"
    rows = project.read("bright").examples
    wrong = rows[4]
    copy = rows[9].path.with_name("copy.png")
    shutil.copy(rows[9].path, copy)
    lines = path.read_text().splitlines()
    number = next(place for place, line in enumerate(lines) if wrong.path.name in line)
    lines[number] = lines[number].replace(",yes,", ",NO,").replace(",no,", ",yes,").replace(",NO,", ",no,")
    other = ("yes", "no")[rows[9].value]
    path.write_text("\n".join([*lines, f"images/{copy.name},{other},train", ""]))
    before = path.read_text()
    choices = LabelChoices(review=True, who="me")
    with opened(project, "bright", None, choices, device=CPU) as work:
        asked = work.page("a")["pictures"]
        assert asked[0]["id"] == content_hash(copy)
        assert asked[0]["note"] == "2 equal files are labelled no and yes"
        (mistake,) = [each for each in asked if each["id"] == content_hash(wrong.path)]
        assert "the probe says" in mistake["note"]
        right = ("no", "yes")[wrong.value]
        work.answer("a", asked[0]["id"], ("no", "yes")[rows[9].value])
        work.answer("a", mistake["id"], right)
    table = {row.path: row for row in read_subdataset(path).examples}
    assert table[wrong.path].value == wrong.value
    assert table[copy].value == table[rows[9].path].value == rows[9].value
    assert table[copy].split == "train"
    with opened(project, "bright", None, choices, device=CPU) as work:
        assert not {each["id"] for each in work.page("a")["pictures"]} & {asked[0]["id"], mistake["id"]}
        assert {work.undo("b")["picture"]["id"] for _ in range(2)} == {asked[0]["id"], mistake["id"]}
    assert sorted(path.read_text().splitlines()) == sorted(before.splitlines())


def call(project: Project, *words: str) -> int:
    return run(["label", *words, "--project", str(project.folder), "--device", "cpu"])


def test_the_command_says_where_the_page_is_and_what_comes_next(
    home: tuple[Project, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, pool = home
    monkeypatch.setattr(Listening, "run", lambda ready: ready.socket.close())
    assert (
        call(project, "sky", str(pool), "--values", "clear,cloudy,rain", "--example", f"rain={pool / '009.png'}") == 0
    )
    text = capsys.readouterr().out
    assert "left out: 1 pictures that cannot be decoded" in text
    assert "http://127.0.0.1:" in text
    assert text.splitlines()[-3].startswith("sky: 1 labels (0 clear, 0 cloudy, 1 rain), 0 unsure, 59 pictures left.")
    assert "graftnet search sky" in text.splitlines()[-1]
    assert call(project, "sky", str(pool), "--json") == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["url"].startswith("http://127.0.0.1:")
    assert len(record["url"].split("/")[3]) > 30
    assert record["pictures"] == 60


def test_a_mistake_is_one_sentence(
    home: tuple[Project, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, pool = home
    monkeypatch.setattr(Listening, "run", lambda ready: ready.socket.close())
    with opened(project, "sky", pool, LabelChoices(values=("clear", "rain")), device=CPU):
        assert call(project, "sky", str(pool)) == 2
        assert "Another process is at work" in capsys.readouterr().err
    (project.data / "folder").mkdir()
    (pool.parent / "empty").mkdir()
    for words, expected in (
        (["new"], "Name the folder with the pictures"),
        (["new", "--review"], "nothing to review"),
        (["con", str(pool)], "attribute name 'con'"),
        (["folder", str(pool)], "is a folder, and answers are kept in a table"),
        (["new", str(pool.parent / "empty")], "There is no picture to label"),
        (["sky", str(pool), "--seed", "9"], "was begun with --seed 0"),
        (["sky", str(pool), "--random", "0.5"], "was begun with --random 0.3"),
        (["sky", str(pool), "--values", "clear,cloudy"], "leaves out rain"),
        (["new", str(pool), "--values", "no,yes,unknown"], "says unknown"),
        (["new", str(pool), "--values", "yes"], "needs two or more"),
        (["new", str(pool), "--example", "maybe=x.png"], "names no value; write VALUE=PATH, of no, yes"),
        (["new", str(pool), "--example", "yes=nowhere.png"], "there is no picture at"),
        (["new", str(pool), "--page", "0"], "--page"),
    ):
        assert call(project, *words) == 2, words
        (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
        assert expected in line
        assert "A bug" not in line
    assert not (project.data / "new.csv").exists()


def test_a_missing_package_is_said_with_its_extra(
    home: tuple[Project, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, pool = home
    for name in [name for name in sys.modules if name.startswith(("graftnet.data.labelling.server", "fastapi"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "graftnet.data.labelling.app", raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert call(project, "shiny", str(pool)) == 2
    assert "pip install 'graftnet[serve]'" in capsys.readouterr().err
