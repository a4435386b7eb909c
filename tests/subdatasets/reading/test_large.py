"""Large tables are read by columns; whatever is not plain is read row by row, with the same result."""

import random
from pathlib import Path

import pytest

from subdatasets.errors import DataError
from subdatasets.reading import large
from subdatasets.reading.examples import Example, Examples
from subdatasets.subdataset import SubDataset, read_subdataset, write_subdataset

COUNT = 120


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "SMALLEST", 0)
    monkeypatch.setattr(large, "_BLOCK", 1500)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the names that the tables have, below data/ and beside it."""
    home = tmp_path_factory.mktemp("large")
    for place in ("data", "data/deep/er", "photos"):
        (home / place).mkdir(parents=True, exist_ok=True)
    for number in range(COUNT):
        (home / "photos" / f"ä {number}.png").touch()
        (home / "data" / "deep" / "er" / f"{number}.png").touch()
    return home


def lines_of(folder: Path, beginning: str = "../photos/ä ", *, group: bool = False) -> list[str]:
    rng = random.Random(0)
    rows = [
        f"{beginning}{number}.png,{rng.choice(['Yes', 'no', 'YES'])},{('train', 'Training', 'val', 'test')[number % 4]}"
        + (f",{'' if number % 3 else f'g{number % 7}'}" if group else "")
        for number in range(COUNT)
    ]
    return [f"file,Label,split{',group' if group else ''}", *rows]


def both(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SubDataset, SubDataset]:
    """As columns and as rows; the first must be plain."""
    assert large.read_plain(path) is not None
    plain = read_subdataset(path)
    with monkeypatch.context() as patch:
        patch.setattr("subdatasets.subdataset.read_plain", lambda source: None)
        return plain, read_subdataset(path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("beginning", ["../photos/ä ", "deep/er/", "{home}/photos/ä ", "../photos/../photos/ä "])
def test_columns_say_what_rows_say(beginning: str, end: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "data" / "hat.csv"
    lines = lines_of(folder, beginning.format(home=folder), group=end == "\n")
    path.write_bytes((end.join(lines) + (end if beginning.startswith("..") else "")).encode())
    plain, careful = both(path, monkeypatch)
    assert plain == careful
    assert (plain.attribute, plain.source, plain.drawn) == (careful.attribute, careful.source, careful.drawn)
    assert plain.counts() == careful.counts()
    assert [example.line for example in plain.examples][:2] == [2, 3]
    assert plain.split("val") == careful.split("val")


def test_the_recorded_order_of_values_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "data" / "cap.csv"
    path.write_text("\n".join(lines_of(folder)))
    (folder / "data" / "cap.import.json").write_text('{"values": ["yes", "no"]}')
    plain, careful = both(path, monkeypatch)
    assert plain.attribute.values == ("yes", "no")
    assert plain == careful


ODD = {
    "a quote": lambda rows: [rows[0], f'"{rows[1].split(",")[0]}",no,train', *rows[2:]],
    "a blank line": lambda rows: [*rows[:9], "", *rows[9:]],
    "a space before a path": lambda rows: [*rows[:9], f" {rows[9]}", *rows[10:]],
    "a path in other words": lambda rows: [*rows[:9], rows[9].replace("../", ".././"), *rows[10:]],
    "a repeated row": lambda rows: [*rows, rows[5]],
    "the same file in other words": lambda rows: [*rows[:9], "../data/deep/er/1.png,no,train", *rows[10:]],
    "a blank cell too many": lambda rows: [*rows[:9], f"{rows[9]},", *rows[10:]],
    "a split that is none": lambda rows: [*rows[:9], rows[9].rpartition(",")[0] + ",dev", *rows[10:]],
    "an unknown label": lambda rows: [*rows[:9], rows[9].split(",")[0] + ",?,train", *rows[10:]],
    "no split": lambda rows: [row.rpartition(",")[0] for row in rows],
    "two columns of one name": lambda rows: [rows[0].replace("split", "label"), *rows[1:]],
    "one value": lambda rows: [rows[0], *(row.replace("no,", "yes,") for row in rows[1:])],
    "no val": lambda rows: [row.replace(",val", ",train") for row in rows],
    "two pairs of words": lambda rows: [*rows[:9], rows[9].split(",")[0] + ",true,train", *rows[10:]],
    "another encoding": lambda rows: [*rows[:9], "caf\udce9.png,no,train", *rows[10:]],
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_not_plain_is_left_to_the_careful_reader(what: str, folder: Path) -> None:
    path = folder / "data" / "odd.csv"
    path.write_bytes("\n".join(ODD[what](lines_of(folder))).encode("utf-8", "surrogateescape"))
    assert large.read_plain(path) is None


def test_parquet_holds_what_csv_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, parquet = folder / "data" / "scarf.csv", folder / "data" / "scarf.parquet"
    table.write_text("\n".join(lines_of(folder, group=True)))
    read = read_subdataset(table)
    write_subdataset(read, parquet)
    table.unlink()
    plain, careful = both(parquet, monkeypatch)
    assert plain == careful
    assert [(each.path, each.value, each.split, each.group) for each in plain.examples] == [
        (each.path, each.value, each.split, each.group) for each in read.examples
    ]
    parquet.write_bytes(parquet.read_bytes()[:-20])
    with pytest.raises(DataError, match="no Parquet file"):
        read_subdataset(parquet)


def test_attributes_over_one_list_of_images_share_it(folder: Path) -> None:
    read = []
    for name in ("wig", "veil"):
        path = folder / "data" / f"{name}.csv"
        path.write_text("\n".join(lines_of(folder)))
        read.append(read_subdataset(path).columns)
    assert read[0].paths is read[1].paths
    (folder / "data" / "veil.csv").write_text("\n".join(lines_of(folder)[:-1]))
    assert read_subdataset(folder / "data" / "veil.csv").columns.paths is not read[0].paths


def test_examples_are_a_sequence_whether_made_or_not(folder: Path) -> None:
    path = folder / "data" / "tie.csv"
    path.write_text("\n".join(lines_of(folder, group=True)))
    lazy, made = read_subdataset(path).columns, Examples.of(tuple(read_subdataset(path).examples))
    for examples in (lazy, made):
        assert isinstance(examples[3], Example)
        assert examples[3] == examples[3:4][0] == tuple(examples)[3]
        assert examples[-1].path == Path(examples.texts()[-1])
        assert examples[5:9] == tuple(examples)[5:9]
    assert lazy == made == tuple(made)
    assert len(lazy + made) == 2 * COUNT
    with pytest.raises(IndexError):
        lazy[COUNT]
