"""graftnet rules on an exported bundle: check names lines, simulate counts what predict says."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployment.runtime import Runtime
from graftnet.bundles.rules import read_labelled, translation
from graftnet.bundles.tree import export_attributes
from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.project.folder import open_project
from subdatasets.errors import DataError
from subdatasets.subdataset import Example, read_subdataset
from tests.graftnet.grafts import VALUES, make_grafts

RULES = """
[[rule]]
name = "light"
when = "bright >= LIMIT"
action = "show the day"

[[rule]]
name = "letters"
when = "shape is b or bright < LIMIT"
action = "show letters"
priority = -1
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with bundle/ and rules.toml in it."""
    project = make_grafts(tmp_path_factory.mktemp("rules") / "project")
    first = open_project(project.folder)
    export_attributes(first, ["bright", "shape"], first.folder / "bundle")
    (first.folder / "rules.toml").write_text(RULES.replace("LIMIT", f"{np.median(scores(first.folder)):.6f}"))
    return first.folder


def of_test(home: Path) -> Sequence[Example]:
    return read_subdataset(open_project(home).source("bright")).split("test")


def scores(home: Path) -> list[float]:
    """Of "bright" on the test images."""
    rows = Runtime(home / "bundle").predict([one.path for one in of_test(home)])
    return [row["attributes"]["bright"]["scores"]["yes"] for row in rows]


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return record


def test_check_is_content_or_names_lines(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "check", str(home / "rules.toml"), str(home / "bundle")]) == 0
    assert "2 rules, on bright, shape: all is well." in capsys.readouterr().out
    text = (home / "rules.toml").read_text()
    (tmp_path / "wrong.toml").write_text(text.replace("shape is b", "shape is d").replace("priority", "prio"))
    assert run(["rules", "check", str(tmp_path / "wrong.toml"), str(home / "bundle")]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1].removeprefix(str(tmp_path)) for line in lines] == ["/wrong.toml:9", "/wrong.toml:11"]
    assert run(["rules", "check", str(tmp_path / "wrong.toml"), str(home / "bundle"), "--json"]) == 2
    assert [problem["line"] for problem in said(capsys)["problems"]] == [9, 11]
    assert run(["rules", "simulate", str(tmp_path / "wrong.toml"), str(home / "bundle"), str(home)]) == 2
    assert "2 problems: line 9:" in capsys.readouterr().err


def test_simulate_counts_what_predict_says(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "simulate", str(home / "rules.toml"), str(home / "bundle"), str(home), "--json"]) == 0
    record = said(capsys)
    examples = of_test(home)
    limit = float((home / "rules.toml").read_text().split(">= ")[1].split('"')[0])
    fired = [score >= limit for score in scores(home)]
    true = [VALUES["bright"][one.value] == "yes" for one in examples]
    light = record["rules"][0]
    assert (record["images"], light["fires"]) == (18, sum(fired))
    assert light["precision"]["part"] == sum(f and t for f, t in zip(fired, true, strict=True))
    assert light["recall"]["whole"] == sum(true)
    assert record["uncalibrated"] == ["bright", "shape"]
    table = ["file,Bright,shape,split"]
    table += [f"{one.path},{int(held)},,val" for one, held in zip(examples, true, strict=True)]
    (tmp_path / "labels.csv").write_text("\n".join(table))
    arguments = ["rules", "simulate", str(home / "rules.toml"), str(home / "bundle"), str(tmp_path / "labels.csv")]
    assert run([*arguments, "--split", "all", "--json"]) == 0
    again = said(capsys)
    assert again["rules"][0] == light
    assert again["rules"][1]["precision"] is None
    assert run([*arguments, "--split", "val"]) == 0
    shown = capsys.readouterr().out
    assert f"fires on {sum(fired)} of 18 images" in shown
    assert "precision unknown" in shown
    assert "False pushes per 1,000 images like these" in shown
    assert run([*arguments, "--every", "5"]) == 2
    assert "has no image in the split 'test'" in capsys.readouterr().err


def test_labels_of_other_spellings_and_wrong_ones(home: Path, tmp_path: Path) -> None:
    image = read_subdataset(open_project(home).source("bright")).examples[0].path
    values = {"bright": ["no", "yes"], "shape": ["a", "b", "c"]}
    rows = [f"{image},{bright},{shape}" for bright, shape in [("1.0", "a"), ("0.0", ""), ("", "c")]]
    (tmp_path / "t.csv").write_text("\n".join(["path,bright,shape", *rows]))
    found = read_labelled(tmp_path / "t.csv", values, images=None, split="test")
    assert [labels for _, labels in found] == [{"bright": "yes", "shape": "a"}, {"bright": "no"}, {"shape": "c"}]
    (tmp_path / "t.csv").write_text("\n".join(["path,bright,shape", f"{image},yes,d", "none.png,no,a"]))
    with pytest.raises(DataError, match=r"2 problems: line 2: 'd' is no value of shape .*line 3: there is no image"):
        read_labelled(tmp_path / "t.csv", values, images=None, split="test")
    (tmp_path / "t.csv").write_text(f"path,hat\n{image},1")
    with pytest.raises(ConfigError, match="labels none of the attributes bright, shape"):
        read_labelled(tmp_path / "t.csv", values, images=None, split="test")
    with pytest.raises(ConfigError, match="no split 'tset'"):
        read_labelled(tmp_path / "t.csv", values, images=None, split="tset")
    with pytest.raises(ConfigError, match="neither a table nor a project"):
        read_labelled(tmp_path, values, images=None, split="test")
    assert translation(["false", "TRUE"], ["no", "yes"]) == {"false": "no", "TRUE": "yes"}
    assert translation(["old", "olde"], ["young", "old"]) == {"old": "old"}
