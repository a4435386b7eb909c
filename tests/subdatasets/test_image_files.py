import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from subdatasets.errors import DataError
from subdatasets.image_files import FORMATS, SUFFIXES, content_hash, content_hashes, read_image
from subdatasets.importing.image_store import store_images
from subdatasets.persons.write import read_photos
from subdatasets.reading.forms import read_csv_rows, read_folder_rows
from tests.subdatasets.conftest import Paint


def test_hashes_are_those_of_the_bytes(tmp_path: Path, paint: Paint) -> None:
    paths = [paint(f"{number}.png") for number in range(70)]
    heard: list[tuple[str, int, int]] = []
    hashes = content_hashes(
        [*paths, paths[0]], threads=3, progress=lambda stage, done, total, figures: heard.append((stage, done, total))
    )
    assert hashes == {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert list(hashes) == paths
    assert heard[-1] == ("images", 70, 70)
    with pytest.raises(DataError, match=r"there is no image .*none\.png"):
        content_hash(tmp_path / "none.png")
    with pytest.raises(DataError, match=r"none\.png"):
        content_hashes([*paths, tmp_path / "none.png"])


def saved(folder: Path, image: Image.Image, name: str = "x.png", **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_every_mode_becomes_rgb(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = np.stack([grey] * 3, axis=2)
    palette = Image.fromarray(grey).convert("P", palette=Image.Palette.ADAPTIVE)
    wide = Image.fromarray(grey.astype(np.uint16) * 257)
    for image in (Image.fromarray(grey), Image.fromarray(expected), palette, wide):
        read = read_image(saved(tmp_path, image))
        assert read.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(read), expected)
    assert read_image(saved(tmp_path, Image.fromarray(expected).convert("CMYK"), "x.jpg")).mode == "RGB"
    assert np.asarray(read_image(saved(tmp_path, Image.new("1", (2, 2), 1)))).tolist() == [[[255] * 3] * 2] * 2


def test_transparent_pixels_are_black_whatever_colour_they_hide(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1), (200, 100, 50, 255))
    image.putpixel((1, 0), (255, 255, 255, 0))
    assert np.asarray(read_image(saved(tmp_path, image))).tolist() == [[[200, 100, 50], [0, 0, 0]]]
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([255, 255, 255, 10, 20, 30])
    palette.putpixel((1, 0), 1)
    assert np.asarray(read_image(saved(tmp_path, palette, transparency=0))).tolist() == [[[0, 0, 0], [10, 20, 30]]]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    turned = read_image(saved(tmp_path, image, exif=exif))
    np.testing.assert_array_equal(np.asarray(turned)[..., 0], np.rot90(np.asarray(image), -1))


@pytest.mark.parametrize(("name", "keep"), [("x.jpg", 0.6), ("x.png", 0.6), ("x.jpg", 0.999), ("x.webp", 0.5)])
def test_a_truncated_image_is_refused(tmp_path: Path, paint: Paint, name: str, keep: float) -> None:
    path = paint(name, size=40)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(DataError, match=rf"{name} is (a truncated or damaged|not an) image"):
        read_image(path)


@pytest.mark.parametrize(("data", "message"), [(b"", "is empty"), (b"hello", "not an image of a known format")])
def test_what_is_no_image_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_image(tmp_path / "x.jpg")


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("F", (2, 2), 0.5), "x.tiff")
    with pytest.raises(DataError, match="floating-point"):
        read_image(path)


def test_an_image_larger_than_any_photograph_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40)).save(buffer, "PNG")
    (tmp_path / "x.png").write_bytes(buffer.getvalue())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="too large"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_read_in_both_forms_imported_as_it_is_and_decoded(name: str, tmp_path: Path, paint: Paint) -> None:
    """An entry of FORMATS is all that a format is here; that of exported bundles is compared with it."""
    names = [f"{value}/{number}{suffix}" for value in ("no", "yes") for number, suffix in enumerate(FORMATS[name])]
    paths = [paint(f"hat/train/{inner}") for inner in names]
    assert sorted(row.path for row in read_folder_rows(tmp_path / "hat").rows) == sorted(paths)
    lines = [f"hat/train/{inner},{inner.split('/')[0]}" for inner in names]
    (tmp_path / "cap.csv").write_text("\n".join(["path,label", *lines]))
    assert len(read_csv_rows(tmp_path / "cap.csv").rows) == len(paths)
    assert len(read_photos(tmp_path / "hat")) == len(paths)
    data = paths[0].read_bytes()
    with Image.open(paths[0]) as opened:
        assert opened.format == name
        expected = np.asarray(opened.convert("RGB"))
    (stored,) = store_images([data], tmp_path / "images")
    assert (stored.suffix, stored.read_bytes()) == (FORMATS[name][0], data)
    assert np.array_equal(np.asarray(read_image(stored)), expected)


def test_no_ending_stands_for_two_formats() -> None:
    assert len(set(SUFFIXES)) == len(SUFFIXES)
    known = Image.registered_extensions()
    assert all(known[suffix] == name for name, suffixes in FORMATS.items() for suffix in suffixes)
