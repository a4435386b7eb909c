"""The job that cuts persons out of photos: what it writes, that it goes on where it stopped, whose the labels are."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from subdatasets.errors import DataError
from subdatasets.importing.tables import import_table
from subdatasets.persons.crops import CropSettings, Instance
from subdatasets.persons.masks import MaskFiles
from subdatasets.persons.write import Photo, read_photos, write_persons

SETTINGS = CropSettings(smallest=8)
SIDE = 32


def make_photos(folder: Path, people: Sequence[int]) -> None:
    """photos/N.png with noise and masks/N.png with so many persons: 12 x 10 blocks."""
    for name in ("photos", "masks"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for photo, count in enumerate(people):
        numbers = np.zeros((SIDE, SIDE), dtype=np.uint8)
        for person in range(count):
            numbers[2 + 15 * (person // 2) :, 15 * (person % 2) :][:12, :10] = person + 1
        Image.fromarray(rng.integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)).save(folder / f"photos/{photo}.png")
        Image.fromarray(numbers).save(folder / f"masks/{photo}.png")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(folder: Path, people: Sequence[int], split: str = "") -> Path:
    lines = [f"file,hat,night{',split' if split else ''}"]
    lines += [f"photos/{n}.png,{n % 2},{'' if n == 0 else 'yes'}{split and f',{split}'}" for n in range(len(people))]
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder / "labels.csv"


def test_crops_boxes_and_labels(tmp_path: Path) -> None:
    people = [1, 2, 0, 1]
    make_photos(tmp_path, people)
    photos = read_photos(table(tmp_path, people))
    found = write_persons(photos, tmp_path / "out", MaskFiles(tmp_path / "masks"), SETTINGS)
    assert (found.none, found.one, found.several, found.crops, found.computed) == (1, 2, 1, 4, 4)
    boxes, labels = rows(found.boxes), rows(found.table)
    assert [row["image"] for row in boxes] == [f"../photos/{n}.png" for n in (0, 1, 1, 3)]
    assert [row["person"] for row in boxes] == ["0", "0", "1", "0"]
    for row, label in zip(boxes, labels, strict=True):
        left, top, right, bottom = (int(row[side]) for side in ("left", "top", "right", "bottom"))
        photo = np.asarray(Image.open(tmp_path / "out" / row["image"]))
        crop = np.asarray(Image.open(tmp_path / "out" / row["path"]))
        assert np.array_equal(crop, photo[top:bottom, left:right])  # a block fills its box
        assert (label["path"], label["group"]) == (row["path"], row["image"])
    # Nobody knows whose the hat of photo 1 is; what was blank stays so.
    assert [(row["hat"], row["night"]) for row in labels] == [("0", ""), ("", ""), ("", ""), ("1", "yes")]
    assert "split" not in labels[0]
    everyone = write_persons(photos, tmp_path / "out", MaskFiles(tmp_path / "masks"), SETTINGS, to_all=True)
    assert everyone.computed == 0
    assert [row["hat"] for row in rows(everyone.table)] == ["0", "1", "1", "1"]


def test_a_killed_job_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    people = [1, 2, 1, 1]
    make_photos(tmp_path, people)
    photos = read_photos(tmp_path / "photos")
    masks = MaskFiles(tmp_path / "masks")

    class Killed(MaskFiles):
        calls = 0

        def __call__(self, image: np.ndarray, path: Path | None = None) -> Sequence[Instance]:
            self.calls += 1
            if self.calls == 3:
                raise KeyboardInterrupt
            return super().__call__(image, path)

    with pytest.raises(KeyboardInterrupt):
        write_persons(photos, tmp_path / "out", Killed(tmp_path / "masks"), SETTINGS)
    assert not (tmp_path / "out" / "persons.csv").exists()
    again = write_persons(photos, tmp_path / "out", masks, SETTINGS)
    assert again.computed == 2
    whole = write_persons(photos, tmp_path / "other", masks, SETTINGS)
    assert whole.computed == 4
    for name in ("boxes.csv", "persons.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    # A crop that went missing, a mask that changed and other settings are done anew; the rest is not.
    next((tmp_path / "out" / "crops").iterdir()).unlink()
    assert write_persons(photos, tmp_path / "out", masks, SETTINGS).computed == 1
    Image.fromarray(np.ones((SIDE, SIDE), dtype=np.uint8)).save(tmp_path / "masks" / "0.png")
    assert write_persons(photos, tmp_path / "out", masks, SETTINGS).computed == 1
    clear = write_persons(photos, tmp_path / "out", masks, CropSettings(smallest=8, fill="transparent"))
    assert clear.computed == 4
    assert Image.open(tmp_path / "out" / rows(clear.table)[0]["path"]).mode == "RGBA"


def test_the_table_becomes_sub_datasets(tmp_path: Path) -> None:
    people = [1] * 16 + [2] * 4
    make_photos(tmp_path, people)
    photos = read_photos(table(tmp_path, people), columns=["hat"])
    found = write_persons(photos, tmp_path / "out", MaskFiles(tmp_path / "masks"), SETTINGS)
    (hat,) = import_table(found.table, None, tmp_path / "data").subdatasets
    assert hat.attribute.values == ("no", "yes")
    assert len(hat.examples) == 16
    assert {example.path.parent for example in hat.examples} == {(tmp_path / "out" / "crops").absolute()}
    every = write_persons(photos, tmp_path / "out", MaskFiles(tmp_path / "masks"), SETTINGS, to_all=True)
    (hat,) = import_table(every.table, None, tmp_path / "all").subdatasets
    splits: dict[str | None, set[str]] = {}
    for example in hat.examples:
        splits.setdefault(example.group, set()).add(example.split)
    assert len(hat.examples) == 24
    assert all(len(names) == 1 for names in splits.values())  # persons of one photo share a split
    given = read_photos(table(tmp_path, people, "test"))
    assert {
        row["split"]
        for row in rows(write_persons(given, tmp_path / "out", MaskFiles(tmp_path / "masks"), SETTINGS).table)
    } == {"test"}


def test_mistakes_are_named_before_anything_is_cut(tmp_path: Path) -> None:
    make_photos(tmp_path, [1, 1])
    photos = read_photos(tmp_path / "photos")
    (tmp_path / "masks" / "1.png").unlink()
    with pytest.raises(DataError, match=r"1\.png has no masks"):
        write_persons(photos, tmp_path / "out", MaskFiles(tmp_path / "masks"), SETTINGS)
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="no person was found in 1 photos"):
        write_persons(photos[:1], tmp_path / "out", MaskFiles(tmp_path / "masks"), CropSettings(smallest=30))
    with pytest.raises(DataError, match="there is no image in"):
        read_photos(tmp_path / "out")
    (tmp_path / "t.csv").write_text("path,hat\nphotos/0.png,1\nphotos/0.png,0\nphotos/7.png,1\nphotos/1.png\n")
    with pytest.raises(DataError, match=r"3 problems: line 3: .* is there twice .*line 4: there is no image .*line 5"):
        read_photos(tmp_path / "t.csv")
    with pytest.raises(DataError, match="no column is named 'cap'"):
        read_photos(tmp_path / "t.csv", columns=["cap"])


def test_one_photo_under_two_names_is_two_photos(tmp_path: Path) -> None:
    make_photos(tmp_path, [1])
    for name in ("photos", "masks"):
        (tmp_path / name / "copy.png").write_bytes((tmp_path / name / "0.png").read_bytes())
    photos = [Photo(tmp_path / "photos" / "0.png", {"hat": "1"}), Photo(tmp_path / "photos" / "copy.png", {"hat": "0"})]
    found = write_persons(photos, tmp_path / "out", MaskFiles(tmp_path / "masks"), SETTINGS)
    assert len({row["path"] for row in rows(found.table)}) == 2
