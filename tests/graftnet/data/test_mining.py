"""graftnet data mine: a new sub-dataset, the source untouched, provenance and report; mistakes in one sentence."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from graftnet.cli import run
from graftnet.project.folder import open_project
from graftnet.trunks.versions import train_trunk
from subdatasets.importing.arrays import import_labels
from subdatasets.subdataset import read_subdataset
from tests.graftnet.searches.test_run import CONFIG, make_pictures


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trunk, and "bright" with few positives; "kind" has three values."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("mining")
    (folder / "graftnet.toml").write_text(CONFIG)
    images, labels = make_pictures(96, 0)
    rare = [number for number in range(60) if labels["bright"][number] == "yes"][8:]
    few = {"few": ["" if number in rare else value for number, value in enumerate(labels["bright"])]}
    kind = ["abc"[number % 3] for number in range(96)]
    splits = ["train"] * 60 + ["val"] * 18 + ["test"] * 18
    import_labels(images, {**few, "kind": kind}, folder / "data", splits=splits)
    train_trunk(open_project(folder), seed=0, device=torch.device("cpu"))
    return folder


def mine(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["data", "mine", *options, "--project", str(folder), "--device", "cpu", "--json"]) == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return record


def test_a_new_sub_dataset_beside_the_source(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in (made / "data").glob("*.csv")}
    record = mine(made, capsys, "few", "--keep", "12", "--clusters", "3", "--name", "hard")
    assert {path: path.read_bytes() for path in before} == before
    source, mined = (read_subdataset(made / "data" / f"{name}.csv") for name in ("few", "hard"))
    for split in ("val", "test"):
        assert mined.split(split) == tuple(
            type(one)(one.path, one.value, one.split, one.group, other.line)
            for one, other in zip(source.split(split), mined.split(split), strict=True)
        )
    assert mined.counts()["train"] == {"no": 12, "yes": 8}
    assert {one.path for one in mined.examples} < {one.path for one in source.examples}
    assert sum(cluster["kept"] for cluster in record["clusters"]) == 12
    distances = [cluster["distance"] for cluster in record["clusters"]]
    assert distances == sorted(distances)


def test_where_it_came_from_is_recorded(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = mine(made, capsys, "few", "--keep", "0.5", "--clusters", "3", "--seed", "4")
    kept = json.loads((made / "data" / "few-mined.mining.json").read_text())
    assert {key: record[key] for key in kept} == kept
    assert (kept["mined_from"], kept["positive"], kept["seed"], kept["depth"]) == ("few", "yes", 4, 6)
    assert (kept["negatives"], kept["kept"], kept["positives"]) == (30, 15, 8)
    assert kept["csv_sha256"] == hashlib.sha256((made / "data" / "few-mined.csv").read_bytes()).hexdigest()
    assert (
        kept["fingerprint"] == json.loads((open_project(made).current_trunk / "trunk.json").read_text())["fingerprint"]
    )
    assert "few-mined" in open_project(made).sources()


def test_the_same_seed_mines_the_same_again(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("few", "--clusters", "3", "--name", "twice", "--depth", "4")
    first = mine(made, capsys, *options, "--seed", "1")["csv_sha256"]
    assert mine(made, capsys, *options, "--seed", "1")["csv_sha256"] == first
    assert mine(made, capsys, *options, "--seed", "2")["csv_sha256"] != first


def test_what_was_changed_by_hand_is_not_mined_over(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("few", "--clusters", "3", "--name", "changed")
    mine(made, capsys, *options)
    target = made / "data" / "changed.csv"
    changed = target.read_text().rsplit("\n", 2)[0] + "\n"
    target.write_text(changed)
    assert run(["data", "mine", *options, "--project", str(made), "--device", "cpu"]) == 2
    assert "changed.csv was changed since it was mined" in " ".join(capsys.readouterr().err.split())
    assert target.read_text() == changed
    mine(made, capsys, *options, "--replace")
    (kept,) = target.parent.glob("changed.csv.before-*")
    assert kept.read_text() == changed


@pytest.mark.parametrize("storage", ["int8", "pca:4"])
def test_distances_do_not_depend_on_how_features_are_stored(
    storage: str, made: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ("few", "--clusters", "3", "--name", "stored")
    whole = mine(made, capsys, *options)
    folder = Path(shutil.copytree(made, tmp_path / "copy"))
    (folder / "graftnet.toml").write_text(f'{CONFIG}\n[features]\nstorage = "{storage}"\n')
    assert mine(folder, capsys, *options)["clusters"] == whole["clusters"]


def test_one_of_several_values_is_positive(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = mine(made, capsys, "kind", "--positive", "b", "--clusters", "3")
    counts = record["counts"]["train"]
    assert counts["b"] == 20
    assert counts["a"] + counts["c"] == 20
    assert min(counts.values()) > 0


def test_the_page_shows_every_cluster_and_needs_nothing_else(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = mine(made, capsys, "few", "--clusters", "3")
    page = Path(record["report"]).read_text(encoding="utf-8")
    assert "15 of 30 train negatives are kept (50.0\N{NO-BREAK SPACE}%)" in page
    for number, cluster in enumerate(record["clusters"], 1):
        assert f"Cluster {number}, kept" in page
        assert f"{cluster['distance']:.3f}" in page
    assert page.count("data:image/jpeg;base64,") >= 15
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "<script" not in page


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("kind",), "kind has 3 values; say with --positive which one"),
        (("few", "--positive", "maybe"), "few has no value 'maybe'; it has no, yes."),
        (("few", "--name", "kind"), "kind has a sub-dataset already"),
        (("few", "--name", "few"), "few has a sub-dataset already"),
        (("few", "--name", "a b"), "'a b' is not usable as a file name"),
        (("few", "--keep", "1.5"), "--keep must be a share between 0 and 1, or a whole number of negatives, is 1.5."),
        (("few", "--keep", "300"), "of 30 negatives, 300 cannot be kept"),
        (("few", "--depth", "9"), "must lie between 1 and 6, is 9"),
        (("fwe",), "did you mean few?"),
    ],
)
def test_a_mistake_is_one_sentence(
    options: tuple[str, ...], sentence: str, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    before = sorted((made / "data").iterdir())
    assert run(["data", "mine", *options, "--project", str(made), "--device", "cpu"]) == 2
    assert sentence in capsys.readouterr().err
    assert sorted((made / "data").iterdir()) == before
