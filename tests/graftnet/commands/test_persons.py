"""graftnet data persons, as it is typed."""

import json
from pathlib import Path

import pytest

from graftnet.cli import run
from tests.subdatasets.persons.test_write import make_photos, table


def test_into_a_project_and_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = [1] * 12 + [2, 0]
    make_photos(tmp_path, people)
    source, masks, home = str(table(tmp_path, people)), str(tmp_path / "masks"), str(tmp_path / "home")
    assert run(["init", home]) == 0
    call = ["data", "persons", source, "--masks", masks, "--smallest", "8", "--column", "hat", "--json"]
    capsys.readouterr()
    for done in (14, 0):  # called again, nothing is cut and the sub-dataset stays
        assert run([*call, "--project", home]) == 0
        record = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (record["crops"], record["one"], record["computed"]) == (14, 12, done)
        assert sum(record["attributes"]["hat"][split]["yes"] for split in ("train", "val", "test")) == 6
    assert run(["data", "check", "hat", "--project", home]) == 0
    capsys.readouterr()
    assert run([*call[:-1], "--out", str(tmp_path / "out")]) == 0
    assert f"Next: graftnet data import {tmp_path / 'out' / 'persons.csv'}" in capsys.readouterr().out
    assert not list((tmp_path / "out").glob("hat*"))


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    make_photos(tmp_path, [1])
    monkeypatch.chdir(tmp_path)
    for arguments, said in (
        (["--masks", "masks"], "There is no project here"),
        (["--masks", "masks", "--weights", "w.pth"], "give one of them"),
        (["--masks", "maskes", "--out", "out"], "there is no folder of masks"),
        (["--weights", "none.pth", "--out", "out"], "there is no file of weights"),
        (["--masks", "masks", "--fill", "black", "--out", "out"], "use one of mean, transparent"),
    ):
        assert run(["data", "persons", "photos", *arguments]) == 2
        assert said in capsys.readouterr().err
