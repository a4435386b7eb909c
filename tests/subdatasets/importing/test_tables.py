from pathlib import Path

import pytest

from subdatasets.errors import DataError
from subdatasets.importing.tables import import_table
from subdatasets.subdataset import read_subdataset
from tests.subdatasets.conftest import Paint

N = 24


@pytest.fixture
def photos(tmp_path: Path, paint: Paint) -> Path:
    for number in range(N):
        paint(f"photos/{number}.png")
    return tmp_path / "photos"


def table_of(folder: Path, columns: dict[str, list[str]], *, file: str = "file") -> Path:
    """A table with a file column and the given ones; cells repeat as often as needed."""
    path = folder / "labels.csv"
    rows = [",".join([file, *columns])]
    rows += [",".join([f"{row}.png", *(cells[row % len(cells)] for cells in columns.values())]) for row in range(N)]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def test_every_attribute_column_becomes_a_sub_dataset(tmp_path: Path, photos: Path) -> None:
    table = table_of(tmp_path, {"bald": ["1", "0", ""], "Light bag": ["no", "yes"], "gender": ["f", "m", "x"]})
    summary = import_table(table, photos, tmp_path / "data")
    assert [each.attribute.name for each in summary.subdatasets] == ["bald", "Light_bag", "gender"]
    assert [each.attribute.values for each in summary.subdatasets] == [("no", "yes"), ("no", "yes"), ("f", "m", "x")]
    assert summary.skipped == ()
    bald = summary.subdatasets[0]
    assert len(bald.examples) == 16
    assert sum(each.value for each in bald.examples) == 8
    assert [each.path for each in bald.examples] == [photos / f"{row}.png" for row in range(N) if row % 3 != 2]
    assert bald.source == tmp_path / "data/bald.csv"
    for subdataset in summary.subdatasets:
        assert read_subdataset(subdataset.source) == subdataset
    splits = [{each.path: each.split for each in subdataset.examples} for subdataset in summary.subdatasets]
    assert splits[0].items() <= splits[1].items()
    assert splits[1] == splits[2]
    assert not list((tmp_path / "data").glob("*.png"))


def test_columns_that_are_no_attributes_are_skipped_with_the_reason(tmp_path: Path, photos: Path) -> None:
    columns = {
        "bald": ["1", "0"],
        "weight": [str(row) for row in range(21)],
        "width": ["640", "480", "320"],
        "score": ["0.25", "0.5"],
        "blank": ["", "nan"],
        "constant": ["1"],
        "rare": ["1"] + ["0"] * 23,
        "torn": ["0", "1", "-1"],
        "": ["0", "1"],
    }
    summary = import_table(table_of(tmp_path, columns), photos, tmp_path / "data")
    assert [each.attribute.name for each in summary.subdatasets] == ["bald"]
    reasons = {each.column: each.reason for each in summary.skipped}
    assert reasons.keys() == {"weight", "width", "score", "blank", "constant", "rare", "torn", "column 10"}
    for column, words in {
        "weight": "21 different values",
        "width": "describes the file",
        "score": "decimal numbers such as 0",
        "blank": "blank in every row",
        "constant": "only '1'",
        "rare": "no 'yes' in val",
        "torn": "mix several ways",
        "column 10": "no title",
    }.items():
        assert words in reasons[column]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["bald.csv", "bald.import.json"]


def test_named_columns_are_taken_or_refused(tmp_path: Path, photos: Path) -> None:
    table = table_of(tmp_path, {"bald": ["1", "0"], "width": ["640", "480"], "one": ["1"]})
    summary = import_table(table, photos, tmp_path / "data", columns=["Width"])
    assert [each.attribute.name for each in summary.subdatasets] == ["width"]
    with pytest.raises(DataError, match=r"labels\.csv: 'one' holds only '1'"):
        import_table(table, photos, tmp_path / "data", columns=["bald", "one"])
    with pytest.raises(DataError, match="no column is named 'hat'"):
        import_table(table, photos, tmp_path / "data", columns=["hat"])


def test_split_and_group_columns_are_used(tmp_path: Path, photos: Path) -> None:
    splits = ["train"] * 12 + ["val"] * 6 + ["test"] * 6
    table = table_of(tmp_path, {"Split": splits, "bald": ["1", "0"], "person": ["ann", "bob", "", "nan"]})
    summary = import_table(table, photos, tmp_path / "data", columns=["bald"], group_column="person")
    examples = summary.subdatasets[0].examples
    assert [each.split for each in examples] == splits
    assert [each.group for each in examples[:4]] == ["ann", "bob", None, None]
    whole = table_of(tmp_path, {"bald": ["1", "0"], "group": [f"g{row // 4}" for row in range(N)]})
    made = import_table(whole, photos, tmp_path / "grouped").subdatasets[0].examples
    assert len({(each.group, each.split) for each in made}) == 6
    assert {each.split for each in made} == {"train", "val", "test"}


def test_unknown_cells_can_be_named(tmp_path: Path, photos: Path) -> None:
    table = table_of(tmp_path, {"bald": ["1", "0", "-1"]})
    summary = import_table(table, photos, tmp_path / "data", unknown=["-1"])
    assert len(summary.subdatasets[0].examples) == 16


def test_images_are_found_beside_the_table_too(tmp_path: Path, photos: Path) -> None:
    table = table_of(photos, {"bald": ["1", "0"]}, file="image")
    summary = import_table(table, None, photos)
    assert summary.subdatasets[0].examples[0].path == photos / "0.png"
    assert "\n0.png," in (photos / "bald.csv").read_text()


def test_wrong_rows_are_refused_together_with_their_lines(tmp_path: Path, photos: Path) -> None:
    table = table_of(tmp_path, {"bald": ["1", "0"], "split": ["train", "val", "test"]})
    lines = table.read_text().splitlines()
    lines[6] = "none.png,1,train"
    lines[8] = ",1,train"
    lines[9] = "8.png,1,holdout"
    lines[10] = "0.png,0,train"
    lines[11] = "10.png,1"
    table.write_text("\n".join([*lines, lines[1]]))
    with pytest.raises(DataError) as caught:
        import_table(table, photos, tmp_path / "data")
    for words in (
        "5 problems",
        f"line 7: there is no image 'none.png' in {photos}",
        "line 9: the path is empty",
        "line 10: there is no split 'holdout'",
        "line 11: '0.png' differs here from line 2",
        "line 12: the row has 2 cells",
    ):
        assert words in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_columns_that_would_become_one_attribute_are_refused(tmp_path: Path, photos: Path) -> None:
    table = table_of(tmp_path, {"light bag": ["1", "0"], "Light_Bag": ["1", "0"]})
    with pytest.raises(DataError, match="'light bag' and 'Light_Bag' would both be attribute"):
        import_table(table, photos, tmp_path / "data")
    with pytest.raises(DataError, match="'秃头' holds no Latin letter"):
        import_table(table_of(tmp_path, {"秃头": ["1", "0"]}), photos, tmp_path / "data")


def test_nothing_is_overwritten_unasked(tmp_path: Path, photos: Path) -> None:
    table = table_of(tmp_path, {"bald": ["1", "0"], "hat": ["1", "0", "0"]})
    first = import_table(table, photos, tmp_path / "data")
    assert import_table(table, photos, tmp_path / "data").subdatasets == first.subdatasets
    (tmp_path / "data/bald.csv").unlink()
    before = (tmp_path / "data/hat.csv").read_bytes()
    with pytest.raises(DataError, match=r"hat\.csv is there already and differs"):
        import_table(table, photos, tmp_path / "data", seed=1)
    assert (tmp_path / "data/hat.csv").read_bytes() == before
    assert not (tmp_path / "data/bald.csv").exists()
    import_table(table, photos, tmp_path / "data", seed=1, replace=True)
    assert (tmp_path / "data/hat.csv").read_bytes() != before


def test_a_missing_folder_or_file_column_is_told(tmp_path: Path, photos: Path) -> None:
    table = table_of(tmp_path, {"bald": ["1", "0"]}, file="picture")
    with pytest.raises(DataError, match=r"labels\.csv, line 1: no column is named 'path' \(found 'picture', 'bald'\)"):
        import_table(table, photos, tmp_path / "data")
    assert import_table(table, photos, tmp_path / "data", file_column="picture").subdatasets
    with pytest.raises(DataError, match=r"no image folder .*/none"):
        import_table(table, tmp_path / "none", tmp_path / "data")
    with pytest.raises(DataError, match="no attribute could be made: 'bald' holds only '1'"):
        import_table(table_of(tmp_path, {"bald": ["1"]}), photos, tmp_path / "data")
