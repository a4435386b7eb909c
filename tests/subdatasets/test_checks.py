import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from subdatasets.checks import check_subdataset, check_subdatasets
from subdatasets.reading.problems import Problem
from subdatasets.subdataset import read_subdataset, write_subdataset
from tests.subdatasets.conftest import Paint

Edit = Callable[[Path, int, str], None]


def errors(problems: list[Problem]) -> list[tuple[str, int | None, str]]:
    return [(each.file.name, each.line, each.message) for each in problems if each.severity == "error"]


@pytest.fixture
def settled(bald: Path) -> Path:
    """The CSV with its splits written out."""
    write_subdataset(read_subdataset(bald), bald)
    return bald


def split_of(csv: Path, line: int) -> str:
    return csv.read_text().splitlines()[line - 1].split(",")[2]


def other_line(csv: Path, line: int, *, same_label: bool, same_split: bool) -> int:
    rows = [row.split(",") for row in csv.read_text().splitlines()]
    return next(
        number
        for number, row in enumerate(rows[1:], start=2)
        if number != line
        and (row[1] == rows[line - 1][1]) == same_label
        and (row[2] == rows[line - 1][2]) == same_split
    )


def copy_content(csv: Path, source: int, target: int) -> None:
    shutil.copy(csv.parent / f"images/{source}.png", csv.parent / f"images/{target}.png")


def test_a_sound_sub_dataset_has_only_warnings(settled: Path) -> None:
    problems = check_subdataset(settled)
    assert errors(problems) == []
    assert {each.message for each in problems} == {
        f"the value '{value}' has only {images} in {split}"
        for value in ("no", "yes")
        for split, images in (("train", "4 images"), ("val", "1 image"), ("test", "1 image"))
    }
    assert check_subdataset(read_subdataset(settled)) == problems


def test_damaged_and_missing_images_are_all_told(settled: Path, edit: Edit) -> None:
    image = settled.parent / "images/5.png"
    image.write_bytes(image.read_bytes()[:60])
    (settled.parent / "images/6.png").write_text("<html>404</html>")
    (settled.parent / "images/8.png").write_bytes(b"")
    edit(settled, 10, "images/none.png,no,train")
    told = errors(check_subdataset(settled))
    assert [(name, line) for name, line, _ in told] == [("bald.csv", line) for line in (5, 6, 8, 10)]
    for (_, _, message), words in zip(told, ("truncated", "known format", "is empty", "there is no"), strict=True):
        assert words in message


def test_the_same_image_in_two_splits_is_told_by_content(settled: Path) -> None:
    copy = other_line(settled, 2, same_label=True, same_split=False)
    copy_content(settled, 2, copy)
    told = errors(check_subdataset(settled))
    assert len(told) == 1
    assert told[0][:2] == ("bald.csv", copy)
    assert f"is the same image as '2.png' in line 2, but is in {split_of(settled, copy)}" in told[0][2]


def test_conflicting_labels_of_one_image_are_told_by_content(settled: Path) -> None:
    copy = other_line(settled, 2, same_label=False, same_split=True)
    copy_content(settled, 2, copy)
    told = errors(check_subdataset(settled))
    assert len(told) == 1
    assert told[0][1] == copy
    assert "is labelled 'yes' and not 'no'" in told[0][2]


def test_a_repeat_within_a_split_is_a_warning(settled: Path) -> None:
    copy = other_line(settled, 2, same_label=True, same_split=True)
    copy_content(settled, 2, copy)
    problems = check_subdataset(settled)
    assert errors(problems) == []
    assert [each.line for each in problems if "same image" in each.message] == [copy]


def test_wrong_rows_do_not_hide_one_another(bald: Path, edit: Edit) -> None:
    edit(bald, 3, "images/3.png,nan")
    edit(bald, 4, "none.png,no")
    edit(bald, 5, "images/5.png,yess")
    (bald.parent / "images/6.png").write_bytes(b"")
    lines = [line for _, line, _ in errors(check_subdataset(bald))]
    assert lines == [None, 3, 4, 6]


def test_a_source_that_cannot_be_read_is_one_problem(tmp_path: Path, bald: Path) -> None:
    (tmp_path / "hat.csv").write_bytes(b"path,label\n\xff\xfe\xff,1\n")
    told = errors(check_subdatasets([tmp_path / "none", tmp_path / "hat.csv", bald]))
    assert [name for name, _, _ in told] == ["hat.csv", "none"]


def test_folders_are_checked_by_file(tmp_path: Path, paint: Paint) -> None:
    for split in ("train", "val", "test"):
        for value in ("no", "yes"):
            for number in range(10):
                paint(f"hat/{split}/{value}/{number}.png")
    assert check_subdataset(tmp_path / "hat") == []
    shutil.copy(tmp_path / "hat/train/no/0.png", tmp_path / "hat/val/yes/0.png")
    (tmp_path / "hat/test/no/3.png").write_bytes(b"x")
    (tmp_path / "hat/test/no/list.txt").write_text("x")
    paint("hat/test/loose.png")
    problems = check_subdataset(tmp_path / "hat")
    assert [(each.severity, each.file.relative_to(tmp_path).as_posix()) for each in problems] == [
        ("error", "hat/test/no/3.png"),
        ("error", "hat/val/yes/0.png"),
        ("error", "hat/val/yes/0.png"),
        ("warning", "hat/test"),
        ("warning", "hat/test/no"),
    ]
    assert "'loose.png'" in problems[3].message
    assert "'list.txt'" in problems[4].message


def test_a_group_in_two_splits_is_a_warning(settled: Path) -> None:
    lines = settled.read_text().splitlines()
    settled.write_text("\n".join([f"{lines[0]},group", *(f"{line},ann" for line in lines[1:])]))
    told = [each for each in check_subdataset(settled) if "group 'ann'" in each.message]
    assert len(told) == 1
    assert told[0].severity == "warning"
    assert told[0].line is not None


def test_what_is_wrong_between_sub_datasets_is_told(settled: Path, tmp_path: Path) -> None:
    text = settled.read_text()
    (tmp_path / "hat.csv").write_text(text.replace("train", "x").replace("test", "train").replace("x", "test"))
    problems = check_subdatasets([settled, tmp_path / "hat.csv"])
    told = {each.file.name: each.message for each in problems if "trained on" in each.message}
    assert "2 val or test images are trained on by another" in told["bald.csv"]
    assert "by 'hat'" in told["bald.csv"]
    assert "8 val or test images are trained on by another" in told["hat.csv"]
    assert "by 'bald'" in told["hat.csv"]
    (tmp_path / "again").mkdir()
    write_subdataset(read_subdataset(settled), tmp_path / "again/bald.csv")
    problems = check_subdatasets([settled, tmp_path / "again/bald.csv"])
    assert [message for _, _, message in errors(problems)] == [
        f"it describes attribute 'bald', as does {settled} (rename or remove one)"
    ]
    assert not [each for each in problems if "trained on" in each.message]


def test_every_image_is_read_once(settled: Path, tmp_path: Path) -> None:
    (tmp_path / "hat.csv").write_text(settled.read_text())
    heard: list[int] = []
    check_subdatasets([settled, tmp_path / "hat.csv"], progress=lambda stage, done, total, figures: heard.append(total))
    assert set(heard) == {12}
