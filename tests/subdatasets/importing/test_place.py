"""What is there stays: nothing is replaced unasked, what is replaced is kept, and images keep their splits."""

import json
from pathlib import Path

import pytest

from subdatasets.checks import check_subdataset
from subdatasets.errors import DataError
from subdatasets.importing.arrays import import_labels
from subdatasets.importing.folder import import_folder
from subdatasets.importing.tables import import_table
from subdatasets.subdataset import SubDataset, read_subdataset, write_subdataset
from tests.subdatasets.conftest import Paint


def fill(paint: Paint, folder: str, count: int, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        paint(f"{folder}/{('no', 'yes')[number % 2]}/{number}.png", seed=number)


def splits_of(subdataset: SubDataset) -> dict[str, str]:
    return {example.path.name: example.split for example in subdataset.examples}


def test_a_smaller_folder_does_not_take_the_place_of_a_larger(tmp_path: Path, paint: Paint) -> None:
    fill(paint, "large", 60)
    fill(paint, "small", 12)
    data = tmp_path / "data"
    import_folder(tmp_path / "large", "loop", data)
    before = (data / "loop.csv").read_bytes()
    with pytest.raises(
        DataError, match=r"loop\.csv is there already .*60 images: 30 no, 30 yes; .* 12 images.*--replace"
    ):
        import_folder(tmp_path / "small", "loop", data)
    assert (data / "loop.csv").read_bytes() == before
    summary = import_folder(tmp_path / "small", "loop", data, replace=True)
    kept = summary.kept[0]
    assert kept.read_bytes() == before
    assert kept.name.startswith("loop.csv.before-20")
    assert len(read_subdataset(data / "loop.csv").examples) == 12
    # Replaced twice within a second, both are kept.
    again = import_folder(tmp_path / "large", "loop", data, replace=True)
    assert len({*summary.kept, *again.kept}) == len(summary.kept) + len(again.kept)
    assert import_folder(tmp_path / "large", "loop", data).kept == ()  # the same once more replaces nothing


def test_nothing_is_written_where_one_of_several_stands_in_the_way(tmp_path: Path, paint: Paint) -> None:
    rows = [f"{paint(f'{number}.png')},{number % 2},{number // 2 % 2}" for number in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["path,bald,hat", *rows]))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/hat.csv").write_text("my own notes")
    with pytest.raises(DataError, match=r"hat\.csv is there already .*no sub-dataset that can be read"):
        import_table(tmp_path / "t.csv", None, tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["hat.csv"]


def test_a_name_that_differs_in_case_alone_is_refused(tmp_path: Path, paint: Paint) -> None:
    fill(paint, "photos", 12)
    (tmp_path / "data").mkdir()
    for there in ("Hat.csv", "hat.CSV"):
        (tmp_path / "data" / there).write_text("x")
        with pytest.raises(DataError, match=rf"{there} is there, and its name differs from hat.csv only in case"):
            import_folder(tmp_path / "photos", "hat", tmp_path / "data", replace=True)
        (tmp_path / "data" / there).unlink()


def test_a_grown_folder_keeps_its_splits_and_says_how_many_are_new(tmp_path: Path, paint: Paint) -> None:
    fill(paint, "photos", 60)
    first = import_folder(tmp_path / "photos", "hat", tmp_path / "data")
    assert first.drawn == {"kept": 0, "new": 60}
    before = splits_of(first.subdatasets[0])
    fill(paint, "photos", 40, begin=60)
    (tmp_path / "photos/yes/1.png").rename(tmp_path / "photos/yes/renamed.png")
    with pytest.raises(DataError, match="--replace"):
        import_folder(tmp_path / "photos", "hat", tmp_path / "data")
    grown = import_folder(tmp_path / "photos", "hat", tmp_path / "data", replace=True)
    assert grown.drawn == {"kept": 59, "new": 41}  # the renamed one is new by name, and drawn as it was by content
    assert any("59 keep the split they had, 41 are new" in note for note in grown.notes)
    after = splits_of(grown.subdatasets[0])
    after["1.png"] = after.pop("renamed.png")
    assert {name: after[name] for name in before} == before
    elsewhere = import_folder(tmp_path / "photos", "hat", tmp_path / "elsewhere")
    assert elsewhere.drawn == {"kept": 0, "new": 100}


def test_a_split_of_before_is_kept_too(tmp_path: Path, paint: Paint) -> None:
    fill(paint, "photos", 60)
    old = read_subdataset(tmp_path / "photos", seed=3)  # as it was drawn from the whole list
    (tmp_path / "data").mkdir()
    target = tmp_path / "data/photos.csv"
    write_subdataset(SubDataset(old.attribute, old.examples, target), target)
    assert not (tmp_path / "data/photos.import.json").exists()
    fill(paint, "photos", 10, begin=60)
    summary = import_folder(tmp_path / "photos", "photos", tmp_path / "data", replace=True)
    assert splits_of(old).items() <= splits_of(summary.subdatasets[0]).items()


def test_another_seed_asks_for_another_split(tmp_path: Path, paint: Paint) -> None:
    fill(paint, "photos", 60)
    first = import_folder(tmp_path / "photos", "hat", tmp_path / "data", seed=1)
    with pytest.raises(DataError, match="is there already"):
        import_folder(tmp_path / "photos", "hat", tmp_path / "data", seed=2)
    other = import_folder(tmp_path / "photos", "hat", tmp_path / "data", seed=2, replace=True)
    assert splits_of(other.subdatasets[0]) != splits_of(first.subdatasets[0])


def test_val_out_of_train_stays_too_and_test_is_left_alone(tmp_path: Path, paint: Paint) -> None:
    def fill_split(split: str, numbers: range) -> None:
        for number in numbers:
            paint(f"photos/{split}/{('no', 'yes')[number % 2]}/{number}.png", seed=number)

    fill_split("train", range(60))
    fill_split("test", range(100, 120))
    first = splits_of(import_folder(tmp_path / "photos", "hat", tmp_path / "data").subdatasets[0])
    fill_split("train", range(60, 90))
    grown = splits_of(import_folder(tmp_path / "photos", "hat", tmp_path / "data", replace=True).subdatasets[0])
    assert first.items() <= grown.items()
    assert {grown[f"{number}.png"] for number in range(100, 120)} == {"test"}
    assert sum(split == "val" for split in first.values()) >= 2


def test_copies_of_one_picture_share_a_split(tmp_path: Path, paint: Paint) -> None:
    for number in range(100):  # four copies each, labelled by coin
        for copy in range(4):
            paint(f"photos/{('no', 'yes')[(number + copy) % 2]}/{number}-{copy}.png", seed=number)
    summary = import_folder(tmp_path / "photos", "coin", tmp_path / "data")
    by_picture: dict[str, set[str]] = {}
    for name, split in splits_of(summary.subdatasets[0]).items():
        by_picture.setdefault(name.split("-")[0], set()).add(split)
    assert all(len(splits) == 1 for splits in by_picture.values())
    assert any(note.startswith("300 images are copies of another one") for note in summary.notes)
    problems = [each.message for each in check_subdataset(tmp_path / "data/coin.csv")]
    assert not any("but is in" in message for message in problems)


def test_the_positive_value_that_was_named_is_kept(tmp_path: Path, paint: Paint) -> None:
    images = [paint(f"{number}.png") for number in range(40)]
    labels = {"animal": ["cat", "dog"] * 20, "broken": ["1", "0"] * 20}
    first = import_labels(images, labels, tmp_path / "data")
    assert [each.attribute.values for each in first.subdatasets] == [("cat", "dog"), ("no", "yes")]
    assert first.positive["animal"].why == "the later in the alphabet, for nothing tells"
    assert first.positive["broken"].why == "'0' and '1' are called no and yes"
    record = json.loads((tmp_path / "data/animal.import.json").read_text())
    record["positive"] = {"value": "cat", "why": "", "chosen": True}
    record["values"] = ["dog", "cat"]
    (tmp_path / "data/animal.import.json").write_text(json.dumps(record))
    assert read_subdataset(tmp_path / "data/animal.csv").attribute.values == ("dog", "cat")
    again = import_labels(images, labels, tmp_path / "data")
    assert again.positive["animal"].why == "as it was named at an earlier import"
    assert read_subdataset(tmp_path / "data/animal.csv").attribute.values == ("dog", "cat")
    changed = read_subdataset(tmp_path / "data/animal.csv")
    write_subdataset(changed, tmp_path / "copy/animal.csv")
    assert read_subdataset(tmp_path / "copy/animal.csv").attribute == changed.attribute


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"values": 3}',
        '{"values": [1, 2]}',
        '{"values": ["a", "b"], "passed_over": [1]}',
        "[" * 200_000,
    ],
)
def test_a_damaged_record_counts_as_none(text: str, tmp_path: Path, bald: Path) -> None:
    (tmp_path / "bald.import.json").write_text(text)
    assert read_subdataset(bald).attribute.values == ("no", "yes")
    assert not [each for each in check_subdataset(bald) if each.severity == "error"]


def test_a_small_folder_is_split_as_asked_and_nothing_moves_while_it_grows(tmp_path: Path, paint: Paint) -> None:
    before: dict[str, str] = {}
    for begin, size, shares in ((0, 60, (42, 9, 9)), (60, 120, (84, 18, 18)), (120, 240, (168, 36, 36))):
        fill(paint, "photos", size - begin, begin=begin)
        for number in (3, 8):  # renamed at each step: known by content alone
            folder = tmp_path / "photos" / ("no", "yes")[number % 2]
            (found,) = [*folder.glob(f"{number}.png"), *folder.glob(f"{number}-*.png")]
            found.rename(folder / f"{number}-{size}.png")
        summary = import_folder(tmp_path / "photos", "hat", tmp_path / "data", replace=True)
        after = {name.split("-")[0].removesuffix(".png"): s for name, s in splits_of(summary.subdatasets[0]).items()}
        assert tuple([*after.values()].count(split) for split in ("train", "val", "test")) == shares
        assert before.items() <= after.items()
        before = after
    record = json.loads((tmp_path / "data/hat.import.json").read_text())
    assert {split: len(noted) for split, noted in record["splits"].items()} == {"train": 168, "val": 36, "test": 36}
    broken: object
    for broken in ([], {"train": 3}, {"train": [1, None]}, "x"):
        (tmp_path / "data/hat.import.json").write_text(json.dumps({**record, "splits": broken}))
        again = import_folder(tmp_path / "photos", "hat", tmp_path / "data", replace=True)
        assert len(again.subdatasets[0].examples) == 240
