"""Columns that are no attribute are told from those that are, by their titles and by what they hold."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from subdatasets.errors import DataError
from subdatasets.importing.columns import several_labels, split_meaning
from subdatasets.importing.tables import import_table
from subdatasets.importing.write import ImportSummary
from tests.subdatasets.conftest import Paint

Import = Callable[..., ImportSummary]
N = 36
CELEBA = {"0": "train", "1": "val", "2": "test"}


@pytest.fixture
def imported(tmp_path: Path, paint: Paint) -> Import:
    """Imports a table of the given columns; cells repeat as often as needed."""

    def call(columns: dict[str, list[str]], head: str = "", **options: object) -> ImportSummary:
        lines = [";".join(["file", *columns])]
        for row in range(N):
            name = paint(f"photos/{row}.png", seed=row).name
            lines.append(";".join([name, *(cells[row % len(cells)] for cells in columns.values())]))
        (tmp_path / "t.csv").write_text(head + "\n".join(lines), encoding="utf-8")
        return import_table(tmp_path / "t.csv", tmp_path / "photos", tmp_path / "data", **options)  # type: ignore[arg-type]

    return call


@pytest.mark.parametrize(
    ("title", "cells", "meaning"),
    [
        ("partition", ["0", "1", "2"], CELEBA),
        ("Subset", ["Train", "valid", "TEST"], {"Train": "train", "valid": "val", "TEST": "test"}),
        ("fold", ["train", "test"], {"train": "train", "test": "test"}),
        ("data split", ["training", "testing"], {"training": "train", "testing": "test"}),
        ("is_train", ["1", "0"], {"1": "train", "0": "test"}),
        ("is_training_image", ["1", "0"], {"1": "train", "0": "test"}),
        ("is valid", ["True", "False"], {"True": "val", "False": "train"}),
        ("is_test", ["yes", "no"], {"yes": "test", "no": "train"}),
        ("fold", ["0", "1", "2"], None),
        ("subset", ["indoor", "outdoor"], None),
        ("train", ["0", "1"], None),
        ("bald", ["0", "1", "2"], None),
    ],
)
def test_what_a_column_means_as_a_split(title: str, cells: list[str], meaning: dict[str, str] | None) -> None:
    assert split_meaning(title, cells) == meaning


@pytest.mark.parametrize(
    ("title", "cells"), [("partition", ["0", "1"]), ("set", ["1", "2", "3"]), ("Phase", ["1", "2"])]
)
def test_a_split_that_could_mean_either_is_refused(title: str, cells: list[str], imported: Import) -> None:
    with pytest.raises(DataError, match=rf"'{title}' is called like a split, holds '.', .* leave it out with --except"):
        imported({title: cells, "bald": ["0", "0", "1", "1"]})
    summary = imported({title: cells, "bald": ["0", "0", "1", "1"]}, leave_out=[title])
    assert [each.attribute.name for each in summary.subdatasets] == ["bald"]
    assert summary.drawn == {"kept": 0, "new": N}


def test_an_official_split_is_used_and_said(imported: Import) -> None:
    summary = imported({"partition": ["0", "0", "1", "1", "2", "2"], "bald": ["0", "1"]})
    (bald,) = summary.subdatasets
    assert [each.split for each in bald.examples[:6]] == ["train", "train", "val", "val", "test", "test"]
    assert summary.notes == ("the splits are those of 'partition': '0' is train, '1' is val, '2' is test",)
    assert summary.drawn is None


@pytest.mark.parametrize(
    ("title", "cells", "words"),
    [
        ("fold", ["0", "1", "2", "3"], "is called like a split"),
        ("person_id", ["3", "5"], "number of something"),
        ("Unnamed: 0", ["1", "2", "3"], "number of something"),
        ("xmin", ["1", "2", "3"], "describes the file"),
        ("time", ["10:15", "11:20", "12:00"], "describes the file"),
        ("annotator", ["ann", "bob"], "describes the file"),
        (
            "tags",
            ["animal|pet", "animal", "plant"],
            r"several labels in a cell, such as 'animal\|pet' \(--several 'tags'",
        ),
    ],
)
def test_a_column_about_something_else_is_left_out(title: str, cells: list[str], words: str, imported: Import) -> None:
    summary = imported({title: cells, "bald": ["0", "0", "1", "1"]})
    assert [each.attribute.name for each in summary.subdatasets] == ["bald"]
    (left,) = summary.skipped
    assert left.column == title
    assert re.search(words, left.reason)


@pytest.mark.parametrize(
    ("title", "cells"),
    [("top", ["yes", "no"]), ("time", ["day", "night"]), ("valid_id", ["yes", "no"]), ("train", ["0", "1"])],
)
def test_an_attribute_of_such_a_name_is_one(title: str, cells: list[str], imported: Import) -> None:
    assert [each.attribute.name for each in imported({title: cells}).subdatasets] == [title]


def test_columns_may_be_named_and_left_out(imported: Import) -> None:
    columns = {"where": ["a", "b"], "bald": ["0", "1"], "hat": ["0", "0", "1", "1"], "person_id": list("123456789")}
    summary = imported(columns, leave_out=["hat", "WHERE"], group_column="person_id")
    assert [each.attribute.name for each in summary.subdatasets] == ["bald"]
    assert summary.skipped == ()
    assert [each.group for each in summary.subdatasets[0].examples[:3]] == ["1", "2", "3"]
    with pytest.raises(DataError, match="no column is named 'cap'"):
        imported(columns, leave_out=["cap"])


def test_several_labels_in_a_cell_become_attributes(imported: Import) -> None:
    summary = imported({"tags": ["animal | pet", "animal", "plant", "", "plant|pet"]}, several=["tags"])
    assert [each.attribute.name for each in summary.subdatasets] == ["tags_animal", "tags_pet", "tags_plant"]
    pet = summary.subdatasets[1]
    assert [each.value for each in pet.examples[:4]] == [1, 0, 0, 1]  # blank says nothing
    with pytest.raises(DataError, match="no cell of 'bald' holds several labels"):
        imported({"bald": ["0", "1"]}, several=["bald"])
    assert several_labels({"Smith, Ann": 1, "Jones, Bob": 1}) is None


@pytest.mark.parametrize("head", ["sep=;\n", "\n\nSEP=;\r\n", '"sep=;"\n'])
def test_excels_first_line_is_understood_and_lines_are_counted_on(head: str, imported: Import, tmp_path: Path) -> None:
    assert imported({"bald, or not": ["0", "1"], "a,b,c": ["0", "1"]}, head=head).subdatasets
    text = (tmp_path / "t.csv").read_text(encoding="utf-8").replace("3.png", "none.png", 1)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    line = next(number for number, each in enumerate(text.splitlines(), 1) if each.startswith("none.png"))
    with pytest.raises(DataError, match=f"line {line}: there is no image 'none.png'"):
        import_table(tmp_path / "t.csv", tmp_path / "photos", tmp_path / "other")


def test_a_column_is_named_as_the_split(imported: Import) -> None:
    columns = {"mine": ["training", "training", "val", "val", "test", "test"], "bald": ["0", "1"]}
    summary = imported(columns, split_column="MINE", replace=True)
    assert [each.split for each in summary.subdatasets[0].examples[:6]] == [
        "train",
        "train",
        "val",
        "val",
        "test",
        "test",
    ]
    with pytest.raises(DataError, match=r"36 problems.*there is no split '0'"):
        imported({"mine": ["0"], "bald": ["0", "1"]}, split_column="mine")


@pytest.mark.parametrize(
    ("title", "cells"),
    [
        ("dataset", ["train", "train", "test", "test"]),
        ("Aufteilung", ["training", "training", "Validierung", "Validierung", "test", "test"]),
        ("mode", ["train", "train", "dev", "dev", "test", "test"]),
        ("用途", ["训练", "训练", "测试", "测试"]),
        ("isTrain", ["1", "1", "0", "0"]),
    ],
)
def test_who_writes_train_and_test_in_every_row_speaks_of_splits(
    title: str, cells: list[str], imported: Import
) -> None:
    summary = imported({title: cells, "bald": ["0", "1"]})
    (bald,) = summary.subdatasets
    assert bald.attribute.name == "bald"
    assert {each.split for each in bald.examples[2:4]} & {"val", "test"}
    assert any(note.startswith(f"the splits are those of '{title}'") for note in summary.notes)


def test_half_a_split_is_refused_and_a_value_called_train_is_one(imported: Import) -> None:
    with pytest.raises(DataError, match="'Set' is called like a split, holds 'evaluation', 'train', and nothing says"):
        imported({"Set": ["train", "evaluation"], "bald": ["0", "0", "1", "1"]})
    summary = imported({"vehicle": ["train", "bus", "train", "tram"], "bald": ["0", "0", "1", "1"]})
    assert [each.attribute.name for each in summary.subdatasets] == ["vehicle", "bald"]


@pytest.mark.parametrize(
    ("title", "cells", "words"),
    [
        ("kfold", ["0", "1", "2"], "is called like a split"),
        ("cv", ["1", "2", "3", "4"], "is called like a split"),
        ("patient", ["P1", "P1", "P2", "P3"], "number of something"),
        ("personId", ["3", "5", "7"], "number of something"),
        ("ext", ["jpg", "PNG"], "describes the file"),
        ("mime", ["image/jpeg", "image/png"], "describes the file"),
        ("sha", ["ab12", "cd34", "ef56"], "describes the file"),
        ("prob", ["0,5", "1,5"], "decimal numbers such as 0,5"),
    ],
)
def test_more_columns_about_something_else(title: str, cells: list[str], words: str, imported: Import) -> None:
    summary = imported({title: [f'"{each}"' if "," in each else each for each in cells], "bald": ["0", "0", "1", "1"]})
    assert [each.attribute.name for each in summary.subdatasets] == ["bald"]
    assert words in next(each.reason for each in summary.skipped if each.column == title)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["patient", "control"], ("control", "patient")),  # no numbers: an attribute
        (['"1,0"', '"0,0"'], ("no", "yes")),
        (["yes\u200b", "\ufeffno"], ("no", "yes")),
        (["yes", "no", "#VALUE!"], ("no", "yes")),
    ],
)
def test_cells_as_spreadsheets_and_web_pages_leave_them(
    cells: list[str], values: tuple[str, ...], imported: Import
) -> None:
    (patient,) = imported({"patient": cells}).subdatasets
    assert patient.attribute.values == values
