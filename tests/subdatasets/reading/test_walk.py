"""Folders as people have them: what is taken, what is passed over, and that all who walk one do it alike."""

import os
from pathlib import Path

import pytest

from deployment.runtime import named
from subdatasets.errors import DataError
from subdatasets.image_files import SUFFIXES, content_hashes
from subdatasets.importing.folder import import_folder
from subdatasets.persons.write import read_photos
from subdatasets.reading import walk
from subdatasets.reading.problems import Reading
from subdatasets.reading.rows import read_rows
from subdatasets.splits import FRACTIONS
from tests.subdatasets.conftest import Paint

TAKEN = ("a.png", "b.PNG", "inner/c.png", "inner/deeper/d.png", "0001", "frame.0002")
LEFT = (
    *("@eaDir/a.png", "inner/__MACOSX/c.png", "inner/lost+found/x.png", "#recycle/y.png", "thumbs/a.png"),
    *("inner/_Thumbnails/c.png", ".cache/z.png", ".hidden.png", "._a.png"),
)
OTHERS = ("notes.txt", "list.CSV", "live.heic", "clip.mov", "inner/strange.bin", "Thumbs.db", "desktop.ini")


@pytest.fixture
def photos(tmp_path: Path, paint: Paint) -> Path:
    for name in (*TAKEN, *LEFT):
        painted = paint(f"photos/{name}.png")
        painted.rename(tmp_path / "photos" / name)
    for name in OTHERS:
        (tmp_path / "photos" / name).write_bytes(b"nothing that is a picture")
    (tmp_path / "photos/inner/back").symlink_to(tmp_path / "photos", target_is_directory=True)
    os.mkfifo(tmp_path / "photos/pipe.png")
    return tmp_path / "photos"


def test_photos_of_persons_are_walked_as_imports_walk(photos: Path) -> None:
    passed_over: dict[str, int] = {}
    taken = [photo.path for photo in read_photos(photos, passed_over=passed_over)]
    assert taken == sorted(photos / name for name in TAKEN)
    assert passed_over == {
        "images in the system's folder '@eaDir'": 1,
        "images in the system's folder '__MACOSX'": 1,
        "images in the system's folder 'lost+found'": 1,
        "images in the system's folder '#recycle'": 1,
        "images in the folder of thumbnails 'thumbs'": 1,
        "images in the folder of thumbnails '_Thumbnails'": 1,
        "images in the hidden folder '.cache'": 1,
        "hidden images, whose names begin with a dot": 1,
        "files that are no image to be read (.txt)": 1,
        "files that are no image to be read (.csv)": 1,
        "files that are no image to be read (.heic)": 1,
        "files that are no image to be read (.mov)": 1,
        "files that are no image to be read (.bin)": 1,
    }


def test_a_bundle_walks_a_folder_in_the_same_way(photos: Path) -> None:
    for what in ("SYSTEM_FOLDERS", "THUMBNAIL_FOLDERS", "LITTER"):
        assert getattr(named, what) == getattr(walk, what)
    assert named._endings() == {*SUFFIXES}
    reading = Reading("photos", photos)
    files = sorted(walk.images_below(photos, reading))
    found = named.named_images([photos])
    assert found.files == files
    hidden = {reason for reason in reading.passed_over if "hidden" in reason}
    assert found.reasons == {reason: count for reason, count in reading.passed_over.items() if reason not in hidden}
    assert found.passed_over == sum(found.reasons.values())


def test_nothing_but_what_is_passed_over(tmp_path: Path, paint: Paint) -> None:
    paint("only/.thumbnails/a.png")
    (tmp_path / "only/a.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no image in .*only \(passed over: 1 images in the hidden folder.*1 .*heic"):
        read_photos(tmp_path / "only")


def test_crops_of_an_earlier_call_are_no_photos(tmp_path: Path, paint: Paint) -> None:
    photo = paint("photos/a.png")
    paint("photos/people/crops/1-0.png")
    passed_over: dict[str, int] = {}
    found = read_photos(tmp_path / "photos", besides=[tmp_path / "photos/people/crops"], passed_over=passed_over)
    assert ([each.path for each in found], passed_over) == ([photo], {})


def test_a_folder_of_thumbnails_beside_the_values(tmp_path: Path, paint: Paint) -> None:
    for value in ("fist", "palm"):
        for number in range(6):
            paint(f"hand/{value}/{value}{number}.png")
            paint(f"hand/thumbs/{value}{number}.png")
    summary = import_folder(tmp_path / "hand", "hand", tmp_path / "data")
    assert summary.subdatasets[0].attribute.values == ("fist", "palm")
    assert summary.passed_over == {"images in the folder of thumbnails 'thumbs'": 12}
    for number in range(6):
        paint(f"other/thumb/thumb{number}.png")
        paint(f"other/fist/fist{number}.png")
    assert import_folder(tmp_path / "other", "hand2", tmp_path / "data").subdatasets[0].attribute.values == (
        "fist",
        "thumb",
    )


def test_system_folders_beside_splits_are_counted(tmp_path: Path, paint: Paint) -> None:
    for split in ("train", "val", "test"):
        for value in ("no", "yes"):
            for number in range(3):
                paint(f"hat/{split}/{value}/{number}.png")
    paint("hat/__MACOSX/train/no/0.png")
    summary = import_folder(tmp_path / "hat", "hat", tmp_path / "data")
    assert summary.passed_over == {"images in the system's folder '__MACOSX'": 1}


def test_a_link_to_a_folder_above_brings_no_other_value_in(tmp_path: Path, paint: Paint) -> None:
    for number in range(24):
        paint(f"hat/{('no', 'yes')[number % 2]}/{number}.png")
    (tmp_path / "hat/yes/back").symlink_to(tmp_path / "hat", target_is_directory=True)
    (tmp_path / "hat/yes/again").symlink_to(tmp_path / "hat/yes", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    for number in range(30, 33):
        paint(f"elsewhere/{number}.png")
    (tmp_path / "hat/yes/more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    summary = import_folder(tmp_path / "hat", "hat", tmp_path / "data")
    by_value = [summary.subdatasets[0].attribute.values[each.value] for each in summary.subdatasets[0].examples]
    assert (by_value.count("no"), by_value.count("yes")) == (12, 15)
    assert len(named.named_images([tmp_path / "hat/yes"]).files) == 15


def test_links_that_lead_nowhere_are_left_out_of_an_import_and_counted(tmp_path: Path, paint: Paint) -> None:
    for value in ("no", "yes"):
        for number in range(4):
            paint(f"photos/{value}/{number}.png")
    for name, target in {"no/gone.png": "nowhere.png", "yes/self.png": "self.png", "self": "self", "gone": "x"}.items():
        (tmp_path / "photos" / name).symlink_to(target)
    summary = import_folder(tmp_path / "photos", "hat", tmp_path / "data")
    assert summary.passed_over == {walk.NOWHERE: 2}
    passed_over: dict[str, int] = {}
    assert len(read_photos(tmp_path / "photos", passed_over=passed_over)) == 8
    # Of a sub-dataset it stays an error: a label would be lost.
    assert passed_over == {walk.NOWHERE: 2, "files that are no image to be read (no ending)": 2}
    with pytest.raises(DataError, match=r"no images .*gone.png, .*self.png"):
        content_hashes([row.path for row in read_rows(tmp_path / "photos", seed=0, fractions=FRACTIONS).rows])
