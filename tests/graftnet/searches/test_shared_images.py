"""Copies that the user's own split puts into two splits: the search says so once, and its record holds how many."""

import json
from pathlib import Path

import pytest
import torch

from graftnet.cli import run
from graftnet.searches.run import plan_search
from graftnet.trunks.versions import open_trunk
from subdatasets.image_files import content_hashes
from subdatasets.subdataset import read_subdataset
from tests.graftnet.searches.test_run import make_project


def test_a_search_on_shared_images_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, 48)
    plan = plan_search(project, open_trunk(project, torch.device("cpu")), "corner", seed=0, device=torch.device("cpu"))
    assert (plan.shared, plan.shared_sentence) == ({}, "")
    rows = [line.split(",") for line in (tmp_path / "data/bright.csv").read_text().splitlines()[1:]]
    by_split = {split: [Path(row[0]) for row in rows if row[2] == split] for split in ("train", "val", "test")}
    lines = (tmp_path / "data/bright.csv").read_text().splitlines()
    for number, (source, split) in enumerate((("train", "test"), ("train", "test"), ("val", "test"), ("train", "val"))):
        picture = by_split[source][number]
        label = next(row[1] for row in rows if row[0] == str(picture))
        copy = tmp_path / "data/images" / f"copy{number}.png"
        copy.write_bytes((tmp_path / "data" / picture).read_bytes())
        lines.append(f"images/{copy.name},{label},{split}")
    (tmp_path / "data/bright.csv").write_text("\n".join(lines) + "\n")
    subdataset = read_subdataset(tmp_path / "data/bright.csv")
    shared = {"train/val": 1, "train/test": 2, "val/test": 1}
    assert subdataset.shared(content_hashes([each.path for each in subdataset.examples])) == shared
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert run(["search", "bright", "--device", "cpu", "--json"]) == 0
    said = capsys.readouterr()
    sentence = "1 of val are in train too and 2 of test are in train too and 1 of test are in val too"
    assert said.err.count(sentence) == 1
    result = json.loads((Path(json.loads(said.out.splitlines()[-1])["folder"]) / "result.json").read_text())
    assert result["data"]["shared"] == shared
    assert run(["search", "bright", "--device", "cpu"]) == 0
    assert sentence not in "".join(capsys.readouterr())
    assert run(["search", "--all", "--device", "cpu", "--seed", "3"]) == 0
    assert "".join(capsys.readouterr()).count(sentence) == 1
