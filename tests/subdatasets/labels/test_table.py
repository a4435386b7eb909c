"""The label table itself, its CSV form, and a project's sub-datasets joined into one."""

from pathlib import Path

import numpy as np
import pytest

from subdatasets.attribute import Attribute
from subdatasets.errors import DataError
from subdatasets.image_files import content_hashes
from subdatasets.labels.join import join_subdatasets
from subdatasets.labels.read import read_label_csv, write_label_csv
from subdatasets.labels.table import LabelTable, labels_of, stacked
from subdatasets.subdataset import Example, SubDataset
from tests.subdatasets.conftest import Paint


def table_of(states: list[list[int]], splits: tuple[str, ...] | None = None, first: int = 0) -> LabelTable:
    images = tuple(Path(f"{number}.png") for number in range(first, first + len(states)))
    labels = tuple("abcdef"[: len(states[0])])
    return LabelTable(images, labels, np.array(states, dtype=np.int8), splits or ("",) * len(states))


def subdataset_of(name: str, values: tuple[str, ...], examples: list[tuple[Path, int, str]]) -> SubDataset:
    return SubDataset(Attribute(name, values), tuple(Example(*each) for each in examples), Path(f"{name}.csv"))


def test_rows_labels_splits_and_counts() -> None:
    table = table_of([[1, 0], [-1, 1], [0, 1]], ("train", "test", "train"))
    assert len(table) == 3
    assert table.of_split("train").states.tolist() == [[1, 0], [0, 1]]
    assert table.of_split("train").images == (Path("0.png"), Path("2.png"))
    assert table.of_split("val").states.shape == (0, 2)
    assert table.select(("b", "a")).states.tolist() == [[0, 1], [1, -1], [1, 0]]
    assert table.rows([2]).splits == ("train",)
    assert table.counts() == {
        "a": {"present": 1, "absent": 1, "unknown": 1},
        "b": {"present": 2, "absent": 1, "unknown": 0},
    }


def test_states_are_a_copy() -> None:
    states = np.array([[1, 0]], dtype=np.int8)
    table = LabelTable((Path("x"),), ("a", "b"), states, ("",))
    states[0, 0] = 0
    assert table.states.tolist() == [[1, 0]]
    assert table.states.dtype == np.int8


def test_what_does_not_fit_is_refused() -> None:
    paths, states = (Path("x"), Path("y")), np.zeros((2, 2), dtype=np.int8)
    with pytest.raises(DataError, match=r"2 images and 3 labels has states of shape \(2, 2\)"):
        LabelTable(paths, ("a", "b", "c"), states, ("", ""))
    with pytest.raises(DataError, match="the state 2: use 1 present"):
        LabelTable(paths, ("a", "b"), states + 2, ("", ""))
    with pytest.raises(DataError, match="has 1 splits"):
        LabelTable(paths, ("a", "b"), states, ("",))
    with pytest.raises(DataError, match="names the split 'dev'"):
        LabelTable(paths, ("a", "b"), states, ("", "dev"))
    with pytest.raises(DataError, match="the label 'a' twice"):
        LabelTable(paths, ("a", "a"), states, ("", ""))
    with pytest.raises(DataError, match="the image 'x' twice"):
        LabelTable((Path("x"), Path("x")), ("a", "b"), states, ("", ""))
    with pytest.raises(DataError, match="no label 'z': use some of a"):
        table_of([[1]]).select(("z",))
    with pytest.raises(DataError, match="no split 'dev'"):
        table_of([[1]]).of_split("dev")


def test_tables_are_stacked_in_the_first_ones_order() -> None:
    below = table_of([[0, 1]], ("test",), first=7)
    table = stacked([table_of([[1, 0]], ("train",)), below.select(("b", "a"))])
    assert table.states.tolist() == [[1, 0], [0, 1]]
    assert table.splits == ("train", "test")
    with pytest.raises(DataError, match="differ in the label 'b'"):
        stacked([table_of([[1, 0]]), table_of([[1]], first=7)])
    with pytest.raises(DataError, match=r"the image '0.png' twice"):
        stacked([table_of([[1]]), table_of([[1]])])
    with pytest.raises(DataError, match="at least one"):
        stacked([])


def test_a_csv_of_labels(tmp_path: Path, paint: Paint) -> None:
    for number in range(5):
        paint(f"photos/{number}.png")
    (tmp_path / "labels.csv").write_text(
        "file,split,bald,hair,never,always,mood,width\n"
        "0.png,train,1,long,0,yes,good,8\n"
        "1.png,train,0,short,0,yes,,9\n"
        "2.png,val,,none,0,,good,9\n"
        "3.png,test,1,,0,yes,,9\n"
        "4.png,test,1,none,0,yes,,9\n",
        encoding="utf-8",
    )
    table = read_label_csv(tmp_path / "labels.csv", tmp_path / "photos")
    assert table.images == tuple(tmp_path / f"photos/{number}.png" for number in range(5))
    assert table.labels == ("bald", "hair=long", "hair=none", "hair=short", "never", "always")
    assert table.states.tolist() == [
        [1, 1, 0, 0, 0, 1],
        [0, 0, 0, 1, 0, 1],
        [-1, 0, 1, 0, 0, -1],
        [1, -1, -1, -1, 0, 1],
        [1, 0, 1, 0, 0, 1],
    ]
    assert table.splits == ("train", "train", "val", "test", "test")
    assert table.notes == (
        "left out: width describes the file (name the column to import it all the same)",
        "left out: mood holds only 'good'",
    )
    with pytest.raises(DataError, match="'mood' holds only 'good': correct its labels"):
        read_label_csv(tmp_path / "labels.csv", tmp_path / "photos", columns=["mood"])


def test_a_table_without_labels_is_refused(tmp_path: Path, paint: Paint) -> None:
    paint("0.png")
    (tmp_path / "labels.csv").write_text("file,width\n0.png,7\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column holds labels"):
        read_label_csv(tmp_path / "labels.csv")


@pytest.mark.parametrize("splits", [None, ("train", "val", "test")])
def test_a_csv_written_is_read_back(tmp_path: Path, paint: Paint, splits: tuple[str, ...] | None) -> None:
    images = tuple(paint(f"{number}.png") for number in range(3))
    states = np.array([[1, 0, 1], [0, 0, -1], [-1, 1, 1]], dtype=np.int8)
    table = LabelTable(images, ("bald", "hair=long", "b c"), states, splits or ("",) * 3)
    write_label_csv(table, tmp_path / "sub" / "labels.csv")
    back = read_label_csv(tmp_path / "sub" / "labels.csv")
    assert (back.images, back.labels, back.splits) == (table.images, table.labels, table.splits)
    assert back.states.tolist() == table.states.tolist()


def test_labels_that_stand_for_an_attribute() -> None:
    assert labels_of(Attribute("bald", ("no", "yes"))) == ("bald",)
    assert labels_of(Attribute("hair", ("long", "none", "short"))) == ("hair=long", "hair=none", "hair=short")


def test_sub_datasets_join_on_content_and_know_no_more_than_they_say(paint: Paint) -> None:
    shared, copy = paint("a/1.png", seed=1), paint("b/other.png", seed=1)
    second, third = paint("a/2.png", seed=2), paint("b/3.png", seed=3)
    bald = subdataset_of("bald", ("no", "yes"), [(shared, 1, "train"), (second, 0, "val")])
    hair = subdataset_of("hair", ("long", "none", "short"), [(third, 2, "train"), (copy, 1, "train")])
    table = join_subdatasets([bald, hair])
    assert table.labels == ("bald", "hair=long", "hair=none", "hair=short")
    assert table.images == (shared, second, third)
    assert table.states.tolist() == [[1, 0, 1, 0], [0, -1, -1, -1], [-1, 0, 0, 1]]
    assert table.splits == ("train", "val", "train")
    assert table.notes == ()


def test_conflicts_of_labels_and_splits_are_said_and_settled(paint: Paint) -> None:
    first, again = paint("1.png", seed=1), paint("again.png", seed=1)
    other = paint("2.png", seed=2)
    bald = subdataset_of("bald", ("no", "yes"), [(first, 1, "train"), (again, 0, "train"), (other, 0, "train")])
    hat = subdataset_of("hat", ("no", "yes"), [(first, 1, "test"), (other, 1, "train")])
    table = join_subdatasets([bald, hat])
    assert table.states.tolist() == [[-1, 1], [0, 1]]
    assert table.splits == ("test", "train")
    assert table.notes == (
        f"1 image in two splits: held out, not in train ({first})",
        f"1 image labelled differently twice in 'bald': unknown there ({again})",
    )


def test_hashes_known_already_are_not_made_again(paint: Paint, monkeypatch: pytest.MonkeyPatch) -> None:
    bald = subdataset_of("bald", ("no", "yes"), [(paint("1.png"), 1, "train"), (paint("2.png"), 0, "train")])
    hashes = content_hashes([example.path for example in bald.examples])
    monkeypatch.setattr("subdatasets.labels.join.content_hashes", None)
    assert join_subdatasets([bald], hashes=hashes).states.tolist() == [[1], [0]]
    with pytest.raises(DataError, match="import one first"):
        join_subdatasets([])
