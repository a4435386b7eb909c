"""Relations of a project: said in graftnet.toml, counted and suggested by a command, checked image by image."""

import json
from pathlib import Path

import numpy as np
import pytest

from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.project.config import RelationTable, parse_config
from graftnet.project.toml_edit import set_values
from subdatasets.importing.arrays import import_labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety pictures of babies or adults; one is both."""
    folder = tmp_path_factory.mktemp("people")
    images = np.arange(90 * 4 * 4 * 3, dtype=np.uint32).reshape(90, 4, 4, 3).astype(np.uint8)
    images[:, 0, 0, 0] = np.arange(90)
    baby, adult = [n % 2 for n in range(90)], [1 - n % 2 for n in range(90)]
    adult[1] = 1
    import_labels(images, {"baby": baby, "adult": adult}, folder / "data")
    return folder


def test_they_are_suggested_counted_and_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = folder / "graftnet.toml"
    config.write_text("")
    place = ["--project", str(folder)]
    assert run(["data", "relations", *place]) == 0
    said = capsys.readouterr().out
    assert "of 90 images 1 break it, where chance would have 23" in said
    assert run(["data", "check", *place, "--json"]) == 0
    few = json.loads(capsys.readouterr().out.splitlines()[-1])["problems"]  # of some value in some split
    config.write_text(said[said.index("#") :])  # as it is pasted
    assert run(["data", "relations", *place]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "adult, baby exclude one another: broken by 1 images",
        "The labels suggest no other relation.",
    ]
    assert run(["data", "check", *place, "--json"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    (problem,) = [each for each in record["problems"] if each not in few]
    assert (record["errors"], problem["severity"]) == (0, "warning")
    assert problem["message"] == "shows adult and baby, but adult, baby exclude one another (graftnet.toml)"
    assert Path(problem["file"]).is_file()


def test_a_label_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "graftnet.toml").write_text("[[relations]]\nimply = ['baby', 'hat']\n")
    assert run(["data", "check", "--project", str(folder)]) == 2
    assert "number 1 names 'hat', which is no label here; there are adult, baby" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["exclude = ['a']", "imply = ['a', 'a']", "exclude = ['a', 'b']\nimply = ['a', 'b']", "", "exclud = ['a']"]
)
def test_a_relation_that_says_nothing(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^graftnet.toml: relations\[0\].* \(line 2|did you mean exclude"):
        parse_config(f"# first\n[[relations]]\n{text}")


def test_a_key_is_set_beside_relations() -> None:
    text = '[search]\nepochs = 3\n\n[[relations]]\nexclude = ["a", "b"]\n\n[[relations]]\nimply = ["c", "a"]\n'
    changed = set_values(text, {("search", "nodes"): 2, ("retrain", "epochs"): 4})
    config = parse_config(changed)
    assert config.relations == (RelationTable(exclude=("a", "b")), RelationTable(imply=("c", "a")))
    assert (config.search.nodes, config.retrain.epochs) == (2, 4)
