"""VOC, COCO and VG-500 files in their own form, small."""

import json
from pathlib import Path

import pytest

from subdatasets.errors import DataError
from subdatasets.labels.coco import read_coco, read_label_lists
from subdatasets.labels.table import stacked
from subdatasets.labels.voc import read_voc_annotations, read_voc_lists

OBJECTS = {
    "000001": [("dog", 0), ("person", 1)],
    "000002": [("person", 1), ("person", 0), ("cat", 1)],
    "000003": [],
}
STATES = [[0, 1, -1], [-1, 0, 1], [0, 0, 0]]  # cat, dog, person


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    folder = tmp_path / "VOC2007"
    (folder / "Annotations").mkdir(parents=True)
    main = folder / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for name, objects in OBJECTS.items():
        parts = "".join(f"<object><name>{n}</name><difficult>{d}</difficult></object>" for n, d in objects)
        (folder / "Annotations" / f"{name}.xml").write_text(f"<annotation>{parts}</annotation>")
    for part, names in {"trainval": ("000001", "000002"), "test": ("000003",), "train": ("000002",)}.items():
        (main / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))
        for column, label in enumerate(("cat", "dog", "person")):
            coded = {1: 1, -1: 0, 0: -1}
            lines = [f"{name} {coded[STATES[int(name) - 1][column]]:2}\n" for name in names]
            (main / f"{label}_{part}.txt").write_text("".join(lines))
    return folder


def test_voc_lists_and_annotations_agree_and_difficult_is_unknown(voc: Path) -> None:
    listed = read_voc_lists(voc, ("trainval", "test"))
    assert listed.labels == ("cat", "dog", "person")
    assert listed.states.tolist() == STATES
    assert listed.splits == ("train", "train", "test")
    assert listed.images[0] == voc / "JPEGImages" / "000001.jpg"
    annotated = read_voc_annotations(voc, ("trainval", "test"))
    assert annotated.states.tolist() == STATES
    assert (annotated.labels, annotated.images, annotated.splits) == (listed.labels, listed.images, listed.splits)
    everything = read_voc_annotations(voc)
    assert everything.states.tolist() == STATES
    assert everything.splits == ("", "", "")
    assert read_voc_lists(voc, ("train",)).images == (voc / "JPEGImages" / "000002.jpg",)


def test_voc_mistakes_are_named(voc: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no part 'dev' of VOC: use some of train, val, trainval, test"):
        read_voc_lists(voc, ("dev",))
    with pytest.raises(DataError, match=r"no ImageSets/Main/CLASS_val.txt"):
        read_voc_lists(voc, ("val",))
    with pytest.raises(DataError, match=r"val.txt cannot be read"):
        read_voc_annotations(voc, ("val",))
    with pytest.raises(DataError, match=r"000001.jpg' twice"):
        read_voc_lists(voc, ("trainval", "trainval"))
    (voc / "ImageSets" / "Main" / "dog_test.txt").write_text("000003 -1\n000004 7\n")
    with pytest.raises(DataError, match=r"dog_test.txt, line 2 is not 'IMAGE 1'"):
        read_voc_lists(voc, ("test",))
    (voc / "ImageSets" / "Main" / "dog_test.txt").write_text("000004 -1\n")
    with pytest.raises(DataError, match=r"dog_test.txt lists other images than cat_test.txt"):
        read_voc_lists(voc, ("test",))
    with pytest.raises(DataError, match=r"has no Annotations"):
        read_voc_annotations(tmp_path)
    (voc / "Annotations" / "000003.xml").write_text("<annotation><object></annotation>")
    with pytest.raises(DataError, match=r"000003.xml is no XML"):
        read_voc_annotations(voc)
    (voc / "Annotations" / "000003.xml").write_text("<annotation><object/></annotation>")
    with pytest.raises(DataError, match=r"object without a name"):
        read_voc_annotations(voc)
    (voc / "Annotations" / "000003.xml").unlink()
    with pytest.raises(DataError, match=r"every listed image needs its annotation"):
        read_voc_annotations(voc, ("test",))


def coco(path: Path, first: int, **changes: object) -> Path:
    content = {
        "images": [{"id": first + n, "file_name": f"{first + n}.jpg"} for n in range(3)],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"image_id": first, "category_id": 1, "iscrowd": 0},
            {"image_id": first, "category_id": 1, "iscrowd": 1},
            {"image_id": first + 2, "category_id": 1, "iscrowd": 1},
            {"image_id": first + 2, "category_id": 18, "iscrowd": 0},
        ],
    }
    path.write_text(json.dumps({**content, **changes}))
    return path


def test_coco(tmp_path: Path) -> None:
    train = read_coco(coco(tmp_path / "train.json", 10), tmp_path / "train2014", split="train")
    val = read_coco(coco(tmp_path / "val.json", 50), tmp_path / "val2014", split="val")
    assert train.labels == ("dog", "person")
    assert train.states.tolist() == [[0, 1], [0, 0], [1, 1]]
    assert train.images[2] == tmp_path / "train2014" / "12.jpg"
    both = stacked([train, val])
    assert len(both) == 6
    assert both.of_split("val").states.tolist() == train.states.tolist()


def test_coco_mistakes_are_named(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with pytest.raises(DataError, match=r"cannot be read"):
        read_coco(file, tmp_path)
    file.write_text('{"images": [],\n oops')
    with pytest.raises(DataError, match=r"x.json, line 2: the file is no JSON"):
        read_coco(file, tmp_path)
    file.write_text("[]")
    with pytest.raises(DataError, match=r"has no list 'images'"):
        read_coco(file, tmp_path)
    with pytest.raises(DataError, match=r"an entry without 'file_name'"):
        read_coco(coco(file, 1, images=[{"id": 1}]), tmp_path)
    with pytest.raises(DataError, match=r"annotates category 99, which it does not list"):
        read_coco(coco(file, 1, annotations=[{"image_id": 1, "category_id": 99}]), tmp_path)
    with pytest.raises(DataError, match=r"annotates image 7, which it does not list"):
        read_coco(coco(file, 1, annotations=[{"image_id": 7, "category_id": 1}]), tmp_path)


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    (tmp_path / "train_list_500.txt").write_text("b.jpg\na.jpg\n")
    (tmp_path / "test_list_500.txt").write_text("c.jpg\n")
    (tmp_path / "index.json").write_text(json.dumps({"a.jpg": [0, 2], "b.jpg": [], "c.jpg": [3]}))
    (tmp_path / "names.txt").write_text("tree\nsky\nman\nfence\nroof\n")
    return tmp_path


def test_vg_500_lists(lists: Path) -> None:
    index, images = lists / "index.json", lists / "VG_100K"
    train = read_label_lists(lists / "train_list_500.txt", index, images, split="train")
    test = read_label_lists(lists / "test_list_500.txt", index, images, split="test")
    table = stacked([train, test])
    assert table.labels == ("0", "1", "2", "3")
    assert table.images == (images / "b.jpg", images / "a.jpg", images / "c.jpg")
    assert table.states.tolist() == [[0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert table.splits == ("train", "train", "test")
    named = read_label_lists(lists / "test_list_500.txt", index, images, names=lists / "names.txt")
    assert named.labels == ("tree", "sky", "man", "fence", "roof")
    assert named.states.tolist() == [[0, 0, 0, 1, 0]]


def test_vg_500_mistakes_are_named(lists: Path) -> None:
    index, listed = lists / "index.json", lists / "train_list_500.txt"
    (lists / "names.txt").write_text("tree\nsky\n")
    with pytest.raises(DataError, match=r"holds label 3, and .* names only 2"):
        read_label_lists(listed, index, lists, names=lists / "names.txt")
    listed.write_text("z.jpg\n")
    with pytest.raises(DataError, match=r"lists 'z.jpg', which .* lacks"):
        read_label_lists(listed, index, lists)
    with pytest.raises(DataError, match=r"none.txt cannot be read as text"):
        read_label_lists(lists / "none.txt", index, lists)
    index.write_text('{"a.jpg": [-1]}')
    with pytest.raises(DataError, match=r"not an object of lists of label numbers"):
        read_label_lists(listed, index, lists)
    index.write_text('{"z.jpg": []}')
    with pytest.raises(DataError, match=r"holds no label"):
        read_label_lists(listed, index, lists)
