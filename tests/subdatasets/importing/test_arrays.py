import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from subdatasets.checks import check_subdataset
from subdatasets.errors import DataError
from subdatasets.image_files import content_hash, read_image
from subdatasets.importing.arrays import import_arrays, import_labels, import_multiclass, import_torchvision
from subdatasets.subdataset import read_subdataset

CLASSES = ("cat", "dog", "hot dog")
LABELS = [row % 3 for row in range(30)]


def pictures(count: int = 30, shape: tuple[int, ...] = (5, 4, 3), seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 255, (count, *shape), dtype=np.uint8)


def encoded(pixels: np.ndarray[Any, Any], kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_pixels_survive_and_files_are_named_by_content(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = pictures(shape=shape)
    summary = import_arrays(images, LABELS, CLASSES, tmp_path)
    assert [each.attribute.name for each in summary.subdatasets] == ["cat", "dog", "hot_dog"]
    assert len(list((tmp_path / "images").iterdir())) == 30
    for number, subdataset in enumerate(summary.subdatasets):
        assert subdataset.attribute.values == ("no", "yes")
        assert [each.value for each in subdataset.examples] == [int(label == number) for label in LABELS]
        assert read_subdataset(subdataset.source) == subdataset
        assert all(each.severity == "warning" for each in check_subdataset(subdataset))
    for pixels, example in zip(images, summary.subdatasets[0].examples, strict=True):
        assert example.path.stem == content_hash(example.path)
        expected = pixels if pixels.ndim == 3 and shape[-1] == 3 else np.stack([pixels.reshape(5, 4)] * 3, axis=2)
        np.testing.assert_array_equal(np.asarray(read_image(example.path)), expected)


def test_every_kind_of_image_is_taken(tmp_path: Path) -> None:
    pixels = pictures(6, (9, 9, 3))
    Image.fromarray(pixels[0]).save(tmp_path / "there.bmp")
    jpeg = encoded(pixels[1], "JPEG")
    images = [
        tmp_path / "there.bmp",
        jpeg,
        np.frombuffer(encoded(pixels[2], "PNG"), np.uint8),
        encoded(pixels[3], "TIFF"),
        Image.fromarray(pixels[4]),
        pixels[5],
    ]
    labels = {"hat": ["yes", "no"] * 3}
    examples = import_labels(iter(images), labels, tmp_path / "data").subdatasets[0].examples
    assert examples[0].path == tmp_path / "there.bmp"
    assert examples[1].path.suffix == ".jpg"
    assert examples[1].path.read_bytes() == jpeg
    assert [each.path.suffix for each in examples[2:]] == [".png"] * 4
    for position in (0, 2, 3, 4, 5):
        np.testing.assert_array_equal(np.asarray(read_image(examples[position].path)), pixels[position])


def test_unknown_labels_leave_an_image_out_of_that_attribute(tmp_path: Path) -> None:
    labels: dict[str, list[Any]] = {
        "hat": [True, False, None] * 10,
        "bag": [1, 0, np.float32("nan"), 1, 0, 0] * 5,
    }
    hat, bag = import_labels(pictures(), labels, tmp_path).subdatasets
    assert hat.attribute.values == ("no", "yes")
    assert len(hat.examples) == 20
    assert bag.attribute.values == ("no", "yes")
    assert len(bag.examples) == 25
    splits = {each.path: each.split for each in hat.examples}
    assert all(splits.get(each.path, each.split) == each.split for each in bag.examples)


def test_one_attribute_may_hold_all_classes(tmp_path: Path) -> None:
    (subdataset,) = import_multiclass(pictures(), LABELS, CLASSES, tmp_path, name="animal").subdatasets
    assert subdataset.attribute.values == CLASSES
    assert [each.value for each in subdataset.examples] == LABELS
    assert all(count in (1, 2) for count in subdataset.counts()["val"].values())


def test_given_splits_and_groups_are_kept(tmp_path: Path) -> None:
    splits = ["train"] * 18 + ["val"] * 6 + ["test"] * 6
    group = [f"g{row // 6}" for row in range(30)]
    summary = import_arrays(pictures(), LABELS, CLASSES, tmp_path, splits=splits, group=group, attributes=["dog"])
    (dog,) = summary.subdatasets
    assert [each.split for each in dog.examples] == splits
    assert [each.group for each in dog.examples] == group


def test_equal_images_are_joined(tmp_path: Path) -> None:
    images = pictures()
    images[29] = images[0]
    images[28] = images[3]
    labels: dict[str, list[Any]] = {
        "hat": ["yes"] + ["no", "yes"] * 13 + ["no"] * 3,
        "bag": ["0", "1"] * 14 + [None, "0"],
    }
    splits = ["train"] * 16 + ["val"] * 6 + ["test"] * 8
    summary = import_labels(images, labels, tmp_path, splits=splits)
    hat, bag = summary.subdatasets
    assert len(list((tmp_path / "images").iterdir())) == 28
    assert len(hat.examples) == 27
    assert len(bag.examples) == 28
    first = {each.path: each.split for each in bag.examples}
    assert [first[bag.examples[row].path] for row in (0, 3)] == ["test", "test"]
    assert summary.notes == (
        "2 images occur more than once and are kept once",
        "2 images are in two splits and are kept out of train",
        "1 images have contradicting labels of 'hat' and are left out of it",
    )


class DataSet:
    """Pictures and class numbers as torchvision hands them out."""

    classes = ("cat", "dog", "hot dog")

    def __init__(self, count: int = 30, seed: int = 0) -> None:
        self.pixels = pictures(count, seed=seed)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return Image.fromarray(self.pixels[index]), np.int64(index % 3)


def test_a_torchvision_data_set_is_one_attribute_per_class_or_one_in_all(tmp_path: Path) -> None:
    arrays = import_arrays(pictures(), LABELS, CLASSES, tmp_path / "arrays")
    each_class = import_torchvision(DataSet(), tmp_path / "a")
    assert [each.counts() for each in each_class.subdatasets] == [each.counts() for each in arrays.subdatasets]
    assert [
        [(each.path.name, each.value, each.split) for each in subdataset.examples]
        for subdataset in each_class.subdatasets
    ] == [
        [(each.path.name, each.value, each.split) for each in subdataset.examples] for subdataset in arrays.subdatasets
    ]
    (animal,) = import_torchvision(DataSet(), tmp_path / "a", name="animal").subdatasets
    assert animal.attribute.values == CLASSES


def test_a_data_set_per_split_gets_its_val_out_of_train(tmp_path: Path) -> None:
    parts = {"train": DataSet(60), "test": DataSet(12, seed=1)}
    (dog,) = import_torchvision(parts, tmp_path, attributes=["dog"], threads=2).subdatasets
    counts = dog.counts()
    assert counts["test"] == {"no": 8, "yes": 4}
    assert counts["train"]["yes"] + counts["val"]["yes"] == 20
    assert counts["val"]["yes"] in (3, 4)


def test_wrong_input_is_refused_by_position(tmp_path: Path) -> None:
    images = pictures()

    class Bad(DataSet):
        def __getitem__(self, index: int) -> tuple[Any, Any]:
            return Image.fromarray(self.pixels[index]), [0, 1]

    def refused(match: str, call: Any, *arguments: Any, **options: Any) -> None:
        with pytest.raises(DataError, match=match):
            call(*arguments, tmp_path / "data", **options)

    refused("array of float32: scale it", import_arrays, images.astype(np.float32), LABELS, CLASSES)
    refused(r"shape \(3, 5, 9\)", import_arrays, pictures(shape=(3, 5, 9)), LABELS, CLASSES)
    refused("give it as", import_arrays, images[0, 0], LABELS, CLASSES)
    refused("lengths differ", import_arrays, images[:29], LABELS, CLASSES)
    refused("lengths differ", import_arrays, images, LABELS, CLASSES, splits=["train"])
    refused("label 2 is 3: it must be a class number from 0 to 2", import_arrays, images, [0, 1, 3] * 10, CLASSES)
    refused("label 0 is -1", import_arrays, images, [-1] * 30, CLASSES)
    refused("name one class twice", import_arrays, images, LABELS, ["a", "a", "b"])
    refused("no class 'bird'", import_arrays, images, LABELS, CLASSES, attributes=["bird"])
    refused("image 1 holds 3 bytes", import_labels, [images[0], b"abc"], {"hat": ["yes", "no"]})
    refused("image 0 is a int", import_labels, [7], {"hat": ["yes"]})
    refused("image 0: there is no file", import_labels, ["none.png"], {"hat": ["yes"]})
    refused("no images", import_labels, [], {"hat": []})
    refused("image 1: there is no split 'dev'", import_labels, images[:2], {"hat": [0, 1]}, splits=["train", "dev"])
    refused("'hat' holds only 'yes'", import_labels, images, {"hat": ["yes"] * 30})
    refused("no `classes`", import_torchvision, [(Image.fromarray(images[0]), 0)])
    refused("item 0 has the target", import_torchvision, Bad())
    refused("data sets: there is no split 'dev'", import_torchvision, {"dev": DataSet()})


def test_a_class_without_images_is_skipped_with_the_reason(tmp_path: Path) -> None:
    summary = import_arrays(pictures(), LABELS, [*CLASSES, "bird"], tmp_path)
    assert [(each.column, each.reason) for each in summary.skipped] == [("bird", "holds only 'no'")]
