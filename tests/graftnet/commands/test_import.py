"""graftnet data import and what else writes tables, as they are typed: nothing of the user's is lost."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graftnet.cli import run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the working directory; photos lie beside it."""
    assert run(["init", str(tmp_path / "people")]) == 0
    monkeypatch.chdir(tmp_path / "people")
    return tmp_path / "people"


def photos(folder: Path, count: int, *, begin: int = 0, values: tuple[str, str] = ("no", "yes")) -> None:
    for number in range(begin, begin + count):
        path = folder / values[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)


def table(path: Path, folder: Path, columns: dict[str, list[str]], count: int = 24, encoding: str = "utf-8") -> None:
    photos(folder, count)
    lines = [",".join(["file", *columns])]
    for number in range(count):
        name = f"{('no', 'yes')[number % 2]}/{number}.png"
        lines.append(",".join([name, *(cells[number % len(cells)] for cells in columns.values())]))
    path.write_text("\n".join(lines), encoding=encoding)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join("".join(capsys.readouterr()).split())


def record(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*words, "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return answer


def test_an_import_refuses_names_replace_and_keeps_the_old(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(project.parent / "large", 40)
    photos(project.parent / "small", 12)
    assert run(["data", "import", "../large", "--name", "loop"]) == 0
    before = (project / "data/loop.csv").read_bytes()
    capsys.readouterr()
    for call in (["data", "import", "../small", "--name", "loop"], ["add", "loop", "../small"]):
        assert run(call) == 2
        words = said(capsys)
        assert "40 images: 20 no, 20 yes" in words
        assert "--replace" in words
        assert (project / "data/loop.csv").read_bytes() == before
    answer = record(capsys, "data", "import", "../small", "--name", "loop", "--replace")
    kept = [Path(path) for path in answer["replaced"]]
    assert kept[0].read_bytes() == before
    assert list(record(capsys, "data", "check")["problems"][0]) == ["severity", "file", "line", "message"]
    assert record(capsys, "data", "labels")["labels"].keys() == {"loop"}  # what is kept is no attribute


@pytest.mark.parametrize("there", ["graftnet.toml", "notes.txt"])
def test_a_table_of_labels_overwrites_nothing(there: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(project.parent / "photos", 24)
    assert run(["data", "import", "../photos", "--name", "hat"]) == 0
    if not (project / there).exists():
        (project / there).write_text("mine")
    before = (project / there).read_bytes()
    capsys.readouterr()
    assert run(["data", "labels", "-o", there]) == 2
    assert f"{there} is there already ({len(before):,} bytes" in said(capsys)
    assert (project / there).read_bytes() == before
    assert run(["data", "labels", "-o", "new.csv"]) == 0
    assert run(["data", "labels", "-o", "new.csv"]) == 0  # the same again is no loss
    (project / "new.csv").write_text("changed")
    assert run(["data", "labels", "-o", "new.csv", "--replace"]) == 0
    (kept,) = project.glob("new.csv.before-*")
    assert kept.read_text() == "changed"
    assert str(kept.name) in said(capsys)


def test_persons_spares_tables_of_others(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "out").mkdir()
    (project / "out/persons.csv").write_text("mine")
    photos(project.parent / "photos", 2)
    (project / "masks").mkdir()
    capsys.readouterr()
    assert run(["data", "persons", "../photos", "--masks", "masks", "--out", "out"]) == 2
    assert "persons.csv is there already and no earlier call wrote it (4 bytes" in said(capsys)
    assert (project / "out/persons.csv").read_text() == "mine"


def test_a_grown_folder_is_imported_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(project.parent / "photos", 40)
    first = record(capsys, "data", "import", "../photos", "--name", "hat")
    assert first["splits"] == {"kept": 0, "new": 40}
    before = (project / "data/hat.csv").read_text().splitlines()[1:]
    photos(project.parent / "photos", 20, begin=40)
    again = record(capsys, "data", "import", "../photos", "--name", "hat", "--replace")
    assert again["splits"] == {"kept": 40, "new": 20}
    assert {*before} <= {*(project / "data/hat.csv").read_text().splitlines()}


def test_what_is_said_of_an_import(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(project.parent / "photos", 40, values=("nein", "ja"))
    (project.parent / "photos/ja/list.heic").write_bytes(b"x")
    capsys.readouterr()
    assert run(["data", "import", "../photos", "--name", "hat"]) == 0
    words = said(capsys)
    assert (
        "hat: 'ja' is the positive value ('nein' and 'ja' are a known pair; --positive hat=VALUE decides other" in words
    )
    assert "passed over: 1 files that are no image to be read (.heic)" in words
    assert run(["data", "check"]) == 0
    assert "hat.csv: its import passed over 1 files that are no image to be read (.heic)" in said(capsys)
    answer = record(capsys, "data", "import", "../photos", "--name", "hat", "--positive", "nein", "--replace")
    assert answer["positive"] == {"hat": {"value": "nein", "why": "named with --positive", "chosen": True}}
    assert answer["passed_over"] == {"files that are no image to be read (.heic)": 1}
    assert list(answer["attributes"]["hat"]["train"]) == ["ja", "nein"]


def test_options_of_a_table(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {
        "größe": ["0", "1"],
        "where": ["train", "train", "train", "train", "val", "val", "test", "test"],
        "who": [str(number // 8) for number in range(24)],
        "hat": ["yes", "no", "pass"],
        "cap": ["0", "0", "1", "1"],
    }
    table(project.parent / "t.csv", project.parent / "photos", columns, encoding="cp1252")
    call = ["data", "import", "../t.csv", "--images", "../photos", "--path-column", "file", "--split-column", "where"]
    capsys.readouterr()
    assert run(call) == 2
    assert "import it with `graftnet data import --encoding NAME`" in said(capsys)
    call += ["--encoding", "cp1252", "--group-column", "who", "--unknown", "pass", "--except", "cap"]
    answer = record(capsys, *call)
    assert answer["attributes"].keys() == {"groe", "hat"}
    assert answer["splits"] is None
    assert record(capsys, *call, "--only", "hat")["attributes"].keys() == {"hat"}
    assert run(["data", "import", "../photos", "--only", "hat", "--name", "x"]) == 2
    assert "--only goes with a table" in said(capsys)


def test_one_run_names_all_that_is_missing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(project.parent / "t.csv", project.parent / "photos", {"hat": ["0", "1"]}, 40)
    gone = sorted((project.parent / "photos/yes").iterdir())[:9]
    for path in gone:
        path.unlink()
    capsys.readouterr()
    assert run(["data", "import", "../t.csv", "--images", "../photos"]) == 2
    words = said(capsys)
    assert all(f"yes/{path.name}'" in words for path in gone)
    photos(project.parent / "photos", 40)
    assert run(["data", "import", "../t.csv", "--images", "../photos"]) == 0
    for path in gone:
        path.unlink()
    assert run(["data", "check"]) == 2
    words = said(capsys)
    assert all(f"yes/{path.name}'" in words for path in gone)


def test_a_csv_with_an_ending_in_capitals_is_a_sub_dataset(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(project.parent / "photos", 24)
    assert run(["data", "import", "../photos", "--name", "hat"]) == 0
    (project / "data/hat.csv").rename(project / "data/hat.CSV")
    assert record(capsys, "data", "check")["checked"] == 1
    assert run(["data", "import", "../photos", "--name", "hat", "--replace"]) == 2
    assert "only in case" in said(capsys)


ROOMS = ("subdatasets", "graftnet/data", "graftnet/project")


def test_options_that_messages_name_are_there() -> None:
    """Every `--option` in a string of these rooms is one that some command has."""
    from typer.main import get_command

    from graftnet.cli import app

    known = {"--help", "--editable"}  # every command's, and pip's
    commands = [get_command(app)]
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        known |= {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    house = Path(__file__).parents[3]
    named = {
        (path.relative_to(house).as_posix(), option)
        for room in ROOMS
        for path in sorted((house / room).rglob("*.py"))
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", path.read_text(encoding="utf-8"))
    }
    assert {"--replace", "--encoding", "--except"} <= {option for _, option in named}
    assert {place for place in named if place[1] not in known} == set()
