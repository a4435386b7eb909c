"""Annotations from somebody else name images below their folder, and nothing else on this machine."""

import json
import os
from pathlib import Path

import pytest

from subdatasets.errors import DataError
from subdatasets.labels.coco import read_coco, read_label_lists
from subdatasets.labels.voc import read_voc_annotations, read_voc_lists

NAMES = ["../../secret.jpg", "/etc/passwd", "a/../../b.jpg", "C:\\secret.jpg", "..\\b.jpg", "a\x00b", ""]


def coco(path: Path, name: object) -> Path:
    record = {
        "images": [{"id": 1, "file_name": name}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"image_id": 1, "category_id": 1}],
    }
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize("name", [*NAMES, 3, None, ["a"]])
def test_a_file_name_of_coco_leads_down(name: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="which does not lie"):
        read_coco(coco(tmp_path / "a.json", name), tmp_path / "images")
    table = read_coco(coco(tmp_path / "a.json", "train/1.jpg"), tmp_path / "images")
    assert table.images == (tmp_path / "images/train/1.jpg",)


@pytest.mark.parametrize("name", NAMES[:5])
def test_a_list_of_images_leads_down(name: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{name}\n")
    (tmp_path / "index.json").write_text(json.dumps({name: [0]}))
    with pytest.raises(DataError, match="does not lie"):
        read_label_lists(tmp_path / "list.txt", tmp_path / "index.json", tmp_path / "images")


def test_an_identity_of_voc_leads_down(tmp_path: Path) -> None:
    lists = tmp_path / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "cat_train.txt").write_text("../../secret 1\n")
    (lists / "train.txt").write_text("../../secret\n")
    with pytest.raises(DataError, match="does not lie in it"):
        read_voc_lists(tmp_path, ["train"])
    with pytest.raises(DataError, match="does not lie in it"):
        read_voc_annotations(tmp_path, ["train"])


def test_what_is_no_file_and_what_has_no_bottom_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "deep.json").write_text('{"images": ' + "[" * 100_000 + "]" * 100_000 + "}")
    (tmp_path / "huge.json").write_text('{"images": ' + "9" * 5_000 + "}")
    for name in ("pipe.json", "deep.json", "huge.json"):
        with pytest.raises(DataError, match=name):
            read_coco(tmp_path / name, tmp_path)
