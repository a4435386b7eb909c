"""graftnet data labels and data table, as a user calls them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graftnet.cli import run

IMAGES = 24


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two attributes over the same photos, hat known of the second half alone."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    lines = ["file,bald,hat"]
    for number in range(IMAGES):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
        lines.append(f"{number}.png,{number % 2},{'' if number < IMAGES // 2 else number % 3 // 2}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert run(["init", str(tmp_path / "people")]) == 0
    monkeypatch.chdir(tmp_path / "people")
    # With this seed the first half alone holds both values in every split.
    assert run(["data", "import", "../labels.csv", "--images", "../photos", "--seed", "7"]) == 0
    return tmp_path / "people"


def last_record(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    record: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return record


def test_sub_datasets_joined_written_and_imported_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["data", "labels", "--output", "joined.csv", "--json"]) == 0
    record = last_record(capsys)
    assert record["images"] == IMAGES
    assert record["labels"] == {
        "bald": {"present": 12, "absent": 12, "unknown": 0},
        "hat": {"present": 4, "absent": 8, "unknown": 12},
    }
    assert record["images_with_several_known"] == 12
    assert record["pairs_never_known_together"] == 0
    assert run(["init", "../again"]) == 0
    assert run(["data", "import", "joined.csv", "--project", "../again"]) == 0
    capsys.readouterr()
    assert run(["data", "labels", "--project", "../again", "--json"]) == 0
    assert last_record(capsys)["labels"] == record["labels"]


def test_what_a_person_reads(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = project.parent / "photos" / "copy.png"
    copy.write_bytes((project.parent / "photos" / "0.png").read_bytes())
    bald = project / "data" / "bald.csv"
    bald.write_text(bald.read_text() + "../../photos/copy.png,yes,train\n")
    capsys.readouterr()
    assert run(["data", "labels"]) == 0
    said = capsys.readouterr().out
    assert (
        "label  present   absent  unknown\nbald        12       11        1\nhat          4        8       12" in said
    )
    assert "note: 1 image labelled differently twice in 'bald': unknown there" in said


def test_labels_known_of_different_images_are_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bald = project / "data" / "bald.csv"
    hats = {line.split(",")[0] for line in (project / "data" / "hat.csv").read_text().splitlines()[1:]}
    lines = bald.read_text().splitlines()
    bald.write_text("\n".join(line for line in lines if line.split(",")[0] not in hats) + "\n")
    capsys.readouterr()
    assert run(["data", "labels"]) == 0
    assert "1 pairs of labels are known together in no image" in capsys.readouterr().out


def test_coco_lists_and_voc_become_tables(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = project.parent / "photos"
    for split, numbers in {"train": range(12), "val": range(12, 18)}.items():
        content = {
            "images": [{"id": n, "file_name": f"{n}.png"} for n in numbers],
            "categories": [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}],
            "annotations": [{"image_id": n, "category_id": 3 + 2 * (n % 3 == 0)} for n in numbers],
        }
        (project / f"{split}.json").write_text(json.dumps(content))
        (project / f"{split}.txt").write_text("".join(f"{n}.png\n" for n in numbers))
    (project / "index.json").write_text(json.dumps({f"{n}.png": [int(n % 3 == 0)] for n in range(18)}))
    (project / "names.txt").write_text("cat\ndog\n")
    main = project / "voc" / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for part, numbers in {"train": range(12), "trainval": range(18), "val": range(12, 18)}.items():
        for label in ("cat", "dog"):
            rows = [f"{n} {1 if (n % 3 == 0) == (label == 'dog') else -1}\n" for n in numbers]
            (main / f"{label}_{part}.txt").write_text("".join(rows))
    calls = [
        ["train=train.json", "val=val.json", "--images", str(photos)],
        ["train=train.txt", "val=val.txt", "--images", str(photos), "--index", "index.json", "--names", "names.txt"],
        ["voc"],
    ]
    for number, call in enumerate(calls):
        capsys.readouterr()
        assert run(["data", "table", *call, "--output", f"out{number}.csv", "--json"]) == 0
        record = last_record(capsys)
        assert record["labels"] == {
            "cat": {"present": 12, "absent": 6, "unknown": 0},
            "dog": {"present": 6, "absent": 12, "unknown": 0},
        }
        assert record["splits"] == {"train": 12, "val": 6}
        assert record["file"] == f"out{number}.csv"
    assert (project / "out2.csv").read_text().splitlines()[:2] == [
        "path,split,cat,dog",
        "voc/JPEGImages/0.jpg,train,0,1",
    ]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (["dev=train.json"], "there is no split 'dev' (in 'dev=train.json'); write train=PATH"),
        (["train=train.json"], "there is no folder for the images of train.json; name it with --images."),
        (["list.txt", "--images", "."], "list.txt is a list of images; name the JSON of their labels with --index."),
        ([".", "train=x.json"], "a VOC folder is read alone"),
        (["."], "has no Annotations/*.xml"),
    ],
)
def test_mistakes_are_one_sentence(
    project: Path, capsys: pytest.CaptureFixture[str], call: list[str], sentence: str
) -> None:
    assert run(["data", "table", *call]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
