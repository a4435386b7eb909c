"""Folders as people have them: pictures of every format, what systems leave there, and values that mean nothing."""

import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from subdatasets.checks import check_subdataset
from subdatasets.errors import DataError
from subdatasets.image_files import READABLE, SUFFIXES, decode_image, read_image
from subdatasets.importing.folder import import_folder
from subdatasets.importing.tables import import_table
from subdatasets.subdataset import read_subdataset
from tests.subdatasets.conftest import Paint

ENDINGS = (
    ".tif",
    ".TIFF",
    ".jfif",
    ".avif",
    ".JPG",
    ".jp2",
    ".ppm",
    ".tga",
    ".ico",
    ".dib",
    ".qoi",
    ".pcx",
    ".apng",
    "",
)


def fill(paint: Paint, folder: str, count: int = 12) -> None:
    for number in range(count):
        paint(f"{folder}/{('no', 'yes')[number % 2]}/{number}.png")


def test_whatever_pillow_reads_counts(tmp_path: Path, paint: Paint) -> None:
    fill(paint, "hat")
    written = []
    for number, ending in enumerate(ENDINGS):
        source = paint(f"source{number}.png", size=16)
        path = tmp_path / f"hat/yes/other{number}{ending}"
        known = Image.registered_extensions().get(ending.lower(), "PNG")
        with Image.open(source) as picture:
            picture.save(path, format=known)
        written.append(path)
    summary = import_folder(tmp_path / "hat", "hat", tmp_path / "data")
    assert {*written} <= {example.path for example in summary.subdatasets[0].examples}
    assert len(summary.subdatasets[0].examples) == 12 + len(ENDINGS)
    assert summary.passed_over == {}
    assert all(read_image(path).mode == "RGB" for path in written)


def test_a_format_that_runs_another_program_is_none(tmp_path: Path) -> None:
    assert "EPS" not in READABLE
    assert not {".eps", ".ps", ".wmf", ".mpg"} & {*SUFFIXES}
    with pytest.raises(DataError, match="not an image of a known format"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")


def test_what_is_passed_over_is_counted_by_reason_and_said_later_too(tmp_path: Path, paint: Paint) -> None:
    fill(paint, "hat")
    for inner in (
        "@eaDir/yes/1.png",
        "yes/@eaDir/2.png",
        "yes/thumbs/1.png",
        "yes/Thumbnails/2.png",
        "no/.trash/1.png",
    ):
        paint(f"hat/{inner}")
    for inner in ("yes/.hidden.png", "no/._1.png", "loose.png"):
        paint(f"hat/{inner}")
    for inner in ("yes/1.heic", "yes/2.HEIC", "no/list.txt", "no/Thumbs.db", "no/.DS_Store", "no/strange.bin"):
        (tmp_path / "hat" / inner).write_bytes(b"nothing that is a picture")
    summary = import_folder(tmp_path / "hat", "hat", tmp_path / "data")
    assert len(summary.subdatasets[0].examples) == 12
    assert summary.passed_over == {
        "images in the system's folder '@eaDir'": 2,
        "images in the folder of thumbnails 'thumbs'": 1,
        "images in the folder of thumbnails 'Thumbnails'": 1,
        "images in the hidden folder '.trash'": 1,
        "hidden images, whose names begin with a dot": 1,
        "images in no value folder, so without a label": 1,
        "files that are no image to be read (.heic)": 2,
        "files that are no image to be read (.txt)": 1,
        "files that are no image to be read (.bin)": 1,
    }
    told = [each.message for each in check_subdataset(tmp_path / "data/hat.csv")]
    assert "its import passed over 2 files that are no image to be read (.heic)" in told


def test_repeated_rows_are_counted(tmp_path: Path, paint: Paint) -> None:
    rows = [f"{paint(f'{number}.png')},{number % 2}" for number in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["path,bald", *rows, *rows[:7], rows[0]]))
    summary = import_table(tmp_path / "t.csv", None, tmp_path / "data")
    assert summary.passed_over == {"repeated rows, counted once": 8}
    told = [each.message for each in check_subdataset(tmp_path / "data/bald.csv")]
    assert "its import passed over 8 repeated rows, counted once" in told


def test_a_folder_of_the_unknown_is_no_value(tmp_path: Path, paint: Paint) -> None:
    fill(paint, "hat", 20)
    for number in range(8):
        paint(f"hat/not sure/{number}.png")
    summary = import_folder(tmp_path / "hat", "hat", tmp_path / "data")
    assert summary.subdatasets[0].attribute.values == ("no", "yes")
    assert "'hat' counts as unknown where it says 'not sure' (8), beside its no and yes" in summary.notes
    for number in range(30):
        paint(f"animal/{('cat', 'dog', 'unklar')[number % 3]}/{number}.png")
    (unnamed,) = [
        note for note in import_folder(tmp_path / "animal", "animal", tmp_path / "a").notes if "unklar" in note
    ]
    assert unnamed == "'unklar' is a value of 'animal' (10 images); if it means not known, add --unknown 'unklar'"
    named = import_folder(tmp_path / "animal", "animal", tmp_path / "b", unknown=["unklar"])
    assert named.subdatasets[0].attribute.values == ("cat", "dog")


def test_positive_may_be_named(tmp_path: Path, paint: Paint) -> None:
    for number in range(20):
        paint(f"gender/{('male', 'female')[number % 2]}/{number}.png")
    for text in ("female", "gender=female", "Gender = female"):
        summary = import_folder(tmp_path / "gender", "gender", tmp_path / "data", positive=[text], replace=True)
        assert summary.subdatasets[0].attribute.values == ("male", "female")
        assert read_subdataset(tmp_path / "data/gender.csv") == summary.subdatasets[0]
        assert summary.positive["gender"].why == "named with --positive"
    with pytest.raises(DataError, match="no attribute of two values has 'woman' as --positive names it"):
        import_folder(tmp_path / "gender", "gender", tmp_path / "data", positive=["woman"])
    with pytest.raises(
        DataError, match="'gender' has no value 'woman' to be the positive one: choose one of female, male"
    ):
        import_folder(tmp_path / "gender", "gender", tmp_path / "data", positive=["gender=woman"])


def test_a_folder_that_is_no_sub_dataset_is_refused(tmp_path: Path, paint: Paint) -> None:
    for call, words in (
        ((tmp_path / "none", "hat"), "there is no folder or CSV"),
        ((tmp_path, "light bag"), "not usable as a file name"),
    ):
        with pytest.raises(DataError, match=words):
            import_folder(*call, tmp_path / "data")
    fill(paint, "photos one")
    (tmp_path / "photos one/maybe").mkdir()
    with pytest.raises(DataError, match="the value folder 'maybe' holds no image"):
        import_folder(tmp_path / "photos one", "hat", tmp_path / "data")
    paint("single/yes/1.png")
    with pytest.raises(DataError, match="it holds only 'yes'"):
        import_folder(tmp_path / "single", "hat", tmp_path / "data")


@pytest.mark.parametrize(
    ("there", "named", "difference"),
    [
        (unicodedata.normalize("NFD", "Müller.png"), "Müller.png", "Unicode form"),
        ("Photo.PNG", "photo.png", "case"),
        ("DSC1.jpeg", "DSC1.jpg", "ending"),
        ("dsc2.jpg", "DSC2.JPEG", "ending"),
        ("plain.png", "plain", "ending"),
    ],
)
def test_a_file_that_differs_a_little_is_named(
    there: str, named: str, difference: str, tmp_path: Path, paint: Paint
) -> None:
    source = paint("source.png")
    (tmp_path / "Photos").mkdir()
    source.rename(tmp_path / "Photos" / there)
    (tmp_path / "hat.csv").write_text(f"path,label\nPhotos/{named},yes\n", encoding="utf-8")
    message = f"a file that differs only in {difference} is there, '{there}'"
    with pytest.raises(DataError, match=message):
        read_subdataset(tmp_path / "hat.csv")
    (tmp_path / "t.csv").write_text(f"file,hat\n{named},yes\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        import_table(tmp_path / "t.csv", tmp_path / "Photos", tmp_path / "data")
