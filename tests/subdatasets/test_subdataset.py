import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from subdatasets.attribute import Attribute
from subdatasets.errors import DataError
from subdatasets.image_files import content_hashes
from subdatasets.subdataset import Example, SubDataset, read_subdataset, write_subdataset
from tests.subdatasets.conftest import Paint

Edit = Callable[[Path, int, str], None]


def digest(subdataset: SubDataset) -> str:
    return subdataset.digest(content_hashes([example.path for example in subdataset.examples]))


def folder_of(paint: Paint, root: str, splits: tuple[str, ...] = ("train", "val", "test")) -> None:
    for split in splits:
        for value in ("no", "yes"):
            for number in range(3):
                paint(f"{root}/{split}/{value}/{number}.png")


def test_a_csv_is_read_with_lines_and_split_by_seed(bald: Path, tmp_path: Path) -> None:
    read = read_subdataset(bald)
    assert read.attribute == Attribute("bald", ("no", "yes"))
    assert [(each.path, each.value, each.line) for each in read.examples] == [
        (tmp_path / f"images/{line}.png", line % 2, line) for line in range(2, 14)
    ]
    assert read.counts() == {"train": {"no": 4, "yes": 4}, "val": {"no": 1, "yes": 1}, "test": {"no": 1, "yes": 1}}
    assert [each for name in ("train", "val", "test") for each in read.split(name)] == sorted(
        read.examples, key=lambda each: ("train", "val", "test").index(each.split)
    )
    assert read_subdataset(bald) == read
    assert read_subdataset(bald, seed=1) != read
    with pytest.raises(DataError, match="no split 'dev'"):
        read.split("dev")


def test_what_is_written_is_read_back(bald: Path, tmp_path: Path) -> None:
    read = read_subdataset(bald)
    grouped = dataclasses.replace(
        read, examples=tuple(dataclasses.replace(each, group=f"p{each.value}") for each in read.examples)
    )
    for folder in (tmp_path, tmp_path / "inside", tmp_path / "far/below", tmp_path / "images"):
        for subdataset in (read, grouped):
            write_subdataset(subdataset, folder / "bald.csv")
            assert read_subdataset(folder / "bald.csv", seed=9).examples == subdataset.examples
        assert not list(folder.glob(".*"))
    assert "../images/2.png" in (tmp_path / "inside/bald.csv").read_text()
    with pytest.raises(DataError, match=r"call it bald\.csv"):
        write_subdataset(read, tmp_path / "other.csv")


def test_the_digest_follows_content_and_not_files(bald: Path, tmp_path: Path) -> None:
    read = read_subdataset(bald)
    moved = tmp_path / "moved"
    write_subdataset(read, bald)
    shutil.copytree(tmp_path / "images", moved / "images")
    lines = bald.read_text().splitlines()
    (moved / "bald.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    assert digest(read_subdataset(moved / "bald.csv")) == digest(read)
    first, *rest = read.examples
    other_split = "val" if first.split != "val" else "train"
    changes = [
        dataclasses.replace(read, examples=(dataclasses.replace(first, value=1 - first.value), *rest)),
        dataclasses.replace(read, examples=(dataclasses.replace(first, split=other_split), *rest)),
        dataclasses.replace(read, examples=tuple(rest)),
        dataclasses.replace(read, attribute=Attribute("bald", ("0", "1"))),
        dataclasses.replace(read, attribute=Attribute("hat", ("no", "yes"))),
    ]
    assert len({digest(each) for each in [read, *changes]}) == 6


def test_folders_with_splits_are_read(tmp_path: Path, paint: Paint) -> None:
    folder_of(paint, "hat", ("train", "Validation", "test"))
    paint("hat/train/yes/UPPER.JPEG")
    paint("hat/train/yes/deeper/still/x.webp")
    paint("hat/train/yes/.hidden.png")
    paint("hat/.cache/yes/x.png")
    paint("hat/train/.ipynb_checkpoints/x.png")
    (tmp_path / "hat/train/yes/notes.txt").write_text("not an image")
    (tmp_path / "hat/train/yes/again").symlink_to(tmp_path / "hat/train/yes")
    read = read_subdataset(tmp_path / "hat")
    assert read.counts()["train"] == {"no": 3, "yes": 5}
    assert read.counts()["val"] == {"no": 3, "yes": 3}
    assert all(each.line is None for each in read.examples)


def test_folders_without_splits_are_split(tmp_path: Path, paint: Paint) -> None:
    for number in range(20):
        paint(f"hat/{('with hat', 'without hat')[number % 2]}/{number}.png")
    read = read_subdataset(tmp_path / "hat")
    assert read.attribute.values == ("without hat", "with hat")
    counts = read.counts()
    assert counts["train"] == {"without hat": 7, "with hat": 7}
    assert {sum(counts[split].values()) for split in ("val", "test")} == {2, 4}
    assert {each.split for each in read.examples} == {"train", "val", "test"}


def test_a_value_may_be_called_like_a_split(tmp_path: Path, paint: Paint) -> None:
    for number in range(12):
        paint(f"vehicle/{('train', 'bus')[number % 2]}/{number}.png")
    assert read_subdataset(tmp_path / "vehicle").attribute.values == ("bus", "train")


def test_val_is_taken_out_of_train_where_there_is_none(tmp_path: Path, paint: Paint) -> None:
    folder_of(paint, "hat", ("train", "test"))
    counts = read_subdataset(tmp_path / "hat").counts()
    assert counts["val"] == {"no": 1, "yes": 1}
    assert counts["test"] == {"no": 3, "yes": 3}


def test_split_group_and_other_columns(tmp_path: Path, paint: Paint) -> None:
    rows = ["Note;SPLIT;Group;Label;File"]
    for number in range(12):
        split = ("Train", "valid", "TEST")[number // 4]
        paint(f"i/{number}.png")
        rows.append(f"x;{split};{'ab' if number % 2 else ''};{number % 2}.0;i\\{number}.png")
    (tmp_path / "hat.csv").write_text("\r\n".join(rows), encoding="utf-8-sig")
    read = read_subdataset(tmp_path / "hat.csv")
    assert read.attribute.values == ("0", "1")
    assert [each.split for each in read.examples] == ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    assert [each.group for each in read.examples][:2] == [None, "ab"]


def test_links_and_absolute_paths_are_followed(bald: Path, tmp_path: Path, edit: Edit) -> None:
    os.symlink(tmp_path / "images/2.png", tmp_path / "link.png")
    edit(bald, 2, "link.png,no")
    edit(bald, 3, f"{tmp_path}/images/3.png,yes")
    assert [each.path for each in read_subdataset(bald).examples[:2]] == [
        tmp_path / "link.png",
        tmp_path / "images/3.png",
    ]


def test_a_linked_folder_does_not_lead_astray(bald: Path, tmp_path: Path) -> None:
    read = read_subdataset(bald)
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere/deep")
    write_subdataset(read, tmp_path / "linked/bald.csv")
    assert read_subdataset(tmp_path / "elsewhere/deep/bald.csv").examples == read.examples


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (7, "images/none.png,yes", r"bald\.csv, line 7: there is no image 'images/none\.png'"),
        (7, ",yes", "line 7: the path is empty"),
        (7, "images/7.png,", "line 7: the label of 'images/7.png' is empty"),
        (7, "images/7.png,nan", "line 7: the label 'nan' of 'images/7.png' says unknown"),
        (7, "images/7.png", "line 7: the row has 1 cells and the header 2"),
        (7, "images/7,x.png,yes", "line 7: the row has 3 cells and the header 2"),
        (7, "images,yes", "line 7: there is no image 'images'"),
        (7, "images/3.png,no", r"line 7: '3\.png' is 'no' here and 'yes' in line 3"),
        (7, "images/7.png,yess", "the value 'yess' has no image in val and test, and is met only in line 7"),
        (7, "images/7.png,Nö\x07", "cannot be shown"),
        (1, "path,value", r"line 1: no column is named 'label' \(found 'path', 'value'\)"),
        (1, "images/1.png,yes", "line 1: no column is named 'path'"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(bald: Path, edit: Edit, line: int, text: str, message: str) -> None:
    edit(bald, line, text)
    with pytest.raises(DataError, match=message):
        read_subdataset(bald)


def test_values_that_differ_in_case_are_told(bald: Path, edit: Edit) -> None:
    for line in range(2, 14):
        edit(bald, line, f"images/{line}.png,{'Male' if line % 2 else 'female'}")
    edit(bald, 7, "images/7.png,male")
    with pytest.raises(
        DataError, match=r"'Male' and 'male' differ only in case.* 'Male' in line 3, .*'male' in line 7"
    ):
        read_subdataset(bald)


def test_all_problems_are_counted_and_five_are_named(bald: Path, edit: Edit) -> None:
    for line in range(4, 11):
        edit(bald, line, f"none{line}.png,yes")
    with pytest.raises(DataError) as caught:
        read_subdataset(bald)
    message = str(caught.value)
    assert "7 problems, of which the first 5 are: line 4:" in message
    assert [number for number in range(4, 11) if f"line {number}:" in message] == [4, 5, 6, 7, 8]
    assert "\n" not in message


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (["train", "dev"], "line 3: there is no split 'dev'"),
        (["train", ""], "line 3: the split is empty"),
        (["val", "test"], "no image in split 'train'"),
    ],
)
def test_wrong_splits_are_told(bald: Path, splits: list[str], message: str) -> None:
    lines = bald.read_text().splitlines()
    rows = [f"{line},{splits[number % 2]}" for number, line in enumerate(lines[1:])]
    bald.write_text("\n".join([f"{lines[0]},split", *rows]))
    with pytest.raises(DataError, match=message):
        read_subdataset(bald)


def test_one_path_in_two_splits_is_refused_and_a_repeat_counts_once(bald: Path) -> None:
    read = read_subdataset(bald)
    write_subdataset(read, bald)
    lines = bald.read_text().splitlines()
    bald.write_text("\n".join([*lines, lines[1]]))
    assert read_subdataset(bald).examples == read.examples
    other = lines[1].replace(read.examples[0].split, "val" if read.examples[0].split != "val" else "train")
    bald.write_text("\n".join([*lines, other]))
    with pytest.raises(DataError, match=r"line 14: '2\.png' is in \w+ here and in \w+ in line 2"):
        read_subdataset(bald)


def test_a_single_class_is_refused(tmp_path: Path, paint: Paint, bald: Path) -> None:
    bald.write_text(bald.read_text().replace("yes", "no"))
    with pytest.raises(DataError, match=r"bald\.csv: it has only one value, 'no'"):
        read_subdataset(bald)
    paint("hat/train/yes/1.png")
    with pytest.raises(DataError, match=r"hat: it has only one value, 'yes'"):
        read_subdataset(tmp_path / "hat")


def test_folders_that_make_no_sense_are_refused(tmp_path: Path, paint: Paint) -> None:
    with pytest.raises(DataError, match="there is no folder or CSV"):
        read_subdataset(tmp_path / "none")
    (tmp_path / "void").mkdir()
    with pytest.raises(DataError, match="holds no labelled image"):
        read_subdataset(tmp_path / "void")
    folder_of(paint, "mixed")
    paint("mixed/extra/x.png")
    with pytest.raises(DataError, match="extra: the folder lies among split folders"):
        read_subdataset(tmp_path / "mixed")
    folder_of(paint, "gap")
    (tmp_path / "gap/train/maybe").mkdir()
    with pytest.raises(DataError, match="'maybe' has no image in train and val and test"):
        read_subdataset(tmp_path / "gap")
    folder_of(paint, "twice", ("train", "val", "valid"))
    with pytest.raises(DataError, match="the same split as 'val'"):
        read_subdataset(tmp_path / "twice")
    paint("flat/train/1.png")
    paint("flat/test/2.png")
    with pytest.raises(DataError, match="hold no value folders"):
        read_subdataset(tmp_path / "flat")
    folder_of(paint, "light bag")
    with pytest.raises(DataError, match=r"'light bag' cannot name an attribute .* 'light_bag'"):
        read_subdataset(tmp_path / "light bag")


def test_a_name_that_a_csv_cannot_hold_is_refused(tmp_path: Path) -> None:
    example = Example(tmp_path / "x .png ", 0, "train")
    with pytest.raises(DataError, match="ends with a space"):
        write_subdataset(SubDataset(Attribute("hat", ("no", "yes")), (example,), tmp_path), tmp_path / "hat.csv")
