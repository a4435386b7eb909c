"""The VOC 2007 protocol on a tiny folder of VOCdevkit's form."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.indeed_measures import average_precisions
from experiments.indeed_voc import ARMS, main
from experiments.voc_folder import read_part, subdatasets_of
from subdatasets.errors import DataError

CLASSES = ("bird", "cat", "person")  # a colour channel each
# VOC's coding: 1 present, 0 difficult only, -1 absent
KINDS = ((1, -1, -1), (-1, 1, -1), (-1, -1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1), (1, -1, 0), (-1, 0, 1))


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("VOCdevkit") / "VOC2007"
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "JPEGImages").mkdir()
    rng = np.random.default_rng(0)
    for part, first, count in (("trainval", 0, 32), ("test", 100, 24)):
        numbers = range(first, first + count)
        for number in numbers:
            pixels = rng.integers(0, 60, (20, 24, 3))
            pixels[5:15, 5:15] += 150 * (np.array(KINDS[number % 8]) >= 0)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "JPEGImages" / f"{number:06}.jpg")
        for place, name in enumerate(CLASSES):
            lines = [f"{number:06} {KINDS[number % 8][place]:2}\n" for number in numbers]
            (folder / "ImageSets" / "Main" / f"{name}_{part}.txt").write_text("".join(lines))
    return folder


def test_difficult_is_unknown(voc: Path) -> None:
    part, classes = read_part(voc, "trainval")
    assert classes == CLASSES
    assert part.labels[:8].tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [1, 1, 0],
        [1, 0, 1],
        [0, 1, 1],
        [1, 0, -1],
        [0, -1, 1],
    ]
    assert part.paths[6] == voc / "JPEGImages" / "000006.jpg"
    person = subdatasets_of(part, classes)[2]
    assert person.counts()["train"] == {"no": 12, "yes": 16}
    assert part.paths[6] not in [example.path for example in person.examples]


def test_split_and_single_count_difficult_objects_as_there(voc: Path) -> None:
    part, _ = read_part(voc, "trainval")
    assert part.classes_per_image[:8].tolist() == [1, 1, 1, 2, 2, 2, 2, 2]
    split = part.of(part.classes_per_image >= 2)
    assert len(split.paths) == len(split.labels) == 20


def test_average_precision_leaves_unknown_labels_out() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    labels = np.array([[1, 0], [-1, 0], [0, 0], [1, 0]])
    first, second = average_precisions(scores, labels)
    assert first == pytest.approx((1 + 2 / 3) / 2)  # ranked: 1, 0, 1
    assert np.isnan(second)


def test_the_whole_protocol_runs_and_is_not_run_twice(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [str(voc), str(tmp_path), "--backbone", "small_cnn", "--size", "16", "--epochs", "3", "--batch-size", "8"]
    main([*call, "--device", "cpu", "--arms", "baseline", "INDeeD L2"])
    said = capsys.readouterr().out
    assert "train: all 32, split 20; test: entire 24, single 9" in said
    assert "| mAP, % | all, single | all, entire | split, single | split, entire |" in said
    records = [json.loads(line) for line in (tmp_path / "voc.jsonl").read_text().splitlines()]
    assert [(record["training"], record["arm"]) for record in records] == [
        (training, arm) for training in ("all", "split") for arm in ("baseline", "INDeeD L2")
    ]
    assert all(0 < record[test] <= 1 for record in records for test in ("single", "entire"))
    assert len({record["entire"] for record in records}) > 1
    assert (tmp_path / "voc_confidence.png").stat().st_size > 1000
    rows = (tmp_path / "voc_split_INDeeD_L2.csv").read_text().splitlines()
    assert rows[0] == "images of,bird,cat,person"
    assert len(rows) == 4
    main([*call, "--device", "cpu", "--arms", "baseline"])
    assert len((tmp_path / "voc.jsonl").read_text().splitlines()) == len(records)


def test_every_arm_of_the_tables_is_there() -> None:
    kinds = {(arm.normalisation, arm.blocks) for arm in ARMS.values() if arm}
    assert kinds == {(norm, blocks) for norm in ("l2", "minmax") for blocks in ("both", "identical", "disparate")}


def test_a_folder_of_another_form_is_refused(voc: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no ImageSets/Main/CLASS_trainval.txt: give the VOC2007 folder"):
        read_part(tmp_path, "trainval")
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "bird_test.txt").write_text("000001 1\n000002 -1\n")
    (lists / "cat_test.txt").write_text("000001 1\n")
    with pytest.raises(DataError, match=r"cat_test.txt lists other images than bird_test.txt"):
        read_part(tmp_path, "test")
    (lists / "cat_test.txt").write_text("000001 yes\n000002 -1\n")
    with pytest.raises(DataError, match=r"cat_test.txt, line 1 is not 'IMAGE 1'"):
        read_part(tmp_path, "test")
