"""The trunk's input: what is cut off, what is filled, how far a JPEG is decoded, and the fingerprints of before."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.deployment.odd_images import odd_images
from trunk.backbones.chain import build_small_cnn
from trunk.errors import TrunkError
from trunk.preprocessing import SPARE, Preprocessing, shown_size
from trunk.trunk import Trunk, fingerprint


def striped(width: int, height: int) -> Image.Image:
    """Columns of their own brightness."""
    return Image.fromarray(np.repeat(np.arange(width, dtype=np.uint8)[None, :, None], height, 0).repeat(3, 2))


def test_a_crop_is_the_middle_and_nothing_is_squashed() -> None:
    pixels = Preprocessing((40, 20), fit="crop").pixels(striped(100, 40))
    assert np.array_equal(pixels, np.asarray(striped(100, 40))[:, 40:60])
    share = Preprocessing((20, 10), fit="crop", crop=0.5).pixels(striped(100, 40))
    assert np.array_equal(share, np.asarray(striped(100, 40))[10:30, 45:55])


@pytest.mark.parametrize(("width", "height"), [(100, 40), (40, 100), (1, 90), (90, 1), (3000, 20), (20, 40)])
def test_padding_keeps_the_whole_picture_in_the_middle_of_the_mean(width: int, height: int) -> None:
    own = Preprocessing((40, 20), mean=(0.2, 0.4, 0.6), fit="pad")
    pixels = own.pixels(Image.new("RGB", (width, height), (255, 0, 0)))
    assert pixels.shape == (40, 20, 3)
    inside = (pixels == (255, 0, 0)).all(axis=2)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    scale = min(20 / width, 40 / height)
    assert (len(rows), len(columns)) == (max(1, round(height * scale)), max(1, round(width * scale)))
    assert abs(rows[0] - (39 - rows[-1])) <= 1
    assert abs(columns[0] - (19 - columns[-1])) <= 1
    assert np.array_equal(np.unique(pixels[~inside], axis=0), [] if inside.all() else [(51, 102, 153)]) or inside.all()
    # What is filled is nothing to the trunk: almost 0 behind mean and deviation.
    assert (
        np.abs(own.normalise(torch.from_numpy(pixels.copy())[None]).numpy()[0].transpose(1, 2, 0)[~inside]).max(
            initial=0
        )
        < 0.01
    )


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("shape", [96, (30, 17), (17, 30)])
def test_every_odd_picture_comes_out_in_the_trunks_shape(
    fit: str, shape: int | tuple[int, int], tmp_path: Path
) -> None:
    own = Preprocessing(shape, fit=fit, decoding="scaled")
    for path in odd_images(tmp_path):
        image = own.apply(own.read(path))
        assert image.shape == (3, *own.shape), path.name
        assert bool(image.isfinite().all())


@pytest.mark.parametrize(("size", "scale"), [(24, 8), (50, 4), (100, 2), (200, 1), ((24, 100), 2)])
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_leaves_enough(
    size: int | tuple[int, int], scale: int, tmp_path: Path
) -> None:
    path = tmp_path / "wide.jpg"
    Image.fromarray(np.random.default_rng(0).integers(256, size=(400, 600, 3), dtype=np.uint8)).save(path)
    own = Preprocessing(size, decoding="scaled")
    read = own.read(path)
    assert read.size == (600 // scale, 400 // scale)
    assert min(read.height / own.shape[0], read.width / own.shape[1]) >= SPARE or scale == 1
    assert Preprocessing(size).read(path).size == (600, 400)
    with Image.open(path) as opened:
        opened.save(tmp_path / "same.png")
    assert own.read(tmp_path / "same.png").size == (600, 400)  # other formats know no scales


def test_a_turned_picture_is_measured_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (800, 400)).save(tmp_path / "turned.jpg", exif=exif)
    # Upright it is 400 x 800; lying, its height of 400 would be too little for 2 x 160.
    assert Preprocessing((160, 40), decoding="scaled").read(tmp_path / "turned.jpg").size == (200, 400)


def test_scaled_decoding_changes_little_of_a_smooth_picture(tmp_path: Path) -> None:
    (path,) = (path for path in odd_images(tmp_path) if path.name == "turned6.jpg")
    full, scaled = (Preprocessing((40, 20), fit="pad", decoding=how) for how in ("full", "scaled"))
    assert np.abs(full.pixels(full.read(path)).astype(int) - scaled.pixels(scaled.read(path))).mean() < 2


# Written by the version before there were rectangles: trunks keep the names that searches and bundles know them by.
BEFORE: tuple[tuple[Preprocessing, dict[str, Any], str], ...] = (
    (
        Preprocessing(96),
        {"size": 96, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "interpolation": "bilinear"},
        "f631ae95113ce5e6",
    ),
    (
        Preprocessing(32, (0.5,) * 3, (0.5,) * 3, "bicubic", 1023),
        {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "white": 1023},
        "31d6ef0172d56325",
    ),
)


@pytest.mark.parametrize(("own", "record", "name"), BEFORE)
def test_trunks_from_before_keep_their_fingerprints(own: Preprocessing, record: dict[str, Any], name: str) -> None:
    assert own.to_json() == record
    assert Preprocessing.from_json(record) == own
    chain = build_small_cnn()
    with torch.no_grad():
        for value in chain.state_dict().values():
            value.fill_(1)
    assert fingerprint("small_cnn", chain, own)[:16] == name


def test_what_is_new_tells_trunks_apart() -> None:
    chain = build_small_cnn()
    others = (
        Preprocessing(24),
        Preprocessing((24, 16)),
        Preprocessing((16, 24)),
        Preprocessing(24, fit="crop"),
        Preprocessing(24, fit="crop", crop=0.5),
        Preprocessing(24, fit="pad"),
        Preprocessing(24, decoding="scaled"),
    )
    assert len({fingerprint("small_cnn", chain, own) for own in others}) == len(others)
    # A share that nothing is cut by, and a square written as two sides, are no difference.
    assert Preprocessing((24, 24), crop=0.5).to_json() == Preprocessing(24).to_json()
    for own in others:
        assert Preprocessing.from_json(json.loads(json.dumps(own.to_json()))) == own
    assert (shown_size(24), shown_size((24, 16))) == ("24", "24 x 16")


def changed(record: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**record, "preprocessing": {**record["preprocessing"], **values}}


WRONG: dict[str, dict[str, Any]] = {
    "a side of 0": {"size": [0, 5]},
    "one side": {"size": [96]},
    "three sides": {"size": [96, 96, 3]},
    "a word": {"size": "96"},
    "true": {"size": True},
    "true as a side": {"size": [16, True]},
    "too large": {"size": 9000},
    "a fraction": {"size": 96.5},
    "two means": {"mean": [0.5, 0.5]},
    "a mean that is no number": {"mean": [0.5, 0.5, "x"]},
    "a deviation of 0": {"std": [0.5, 0, 0.5]},
    "a negative deviation": {"std": [0.5, -1, 0.5]},
    "another fit": {"fit": "stretch"},
    "a list of fits": {"fit": ["pad"]},
    "a crop of 0": {"crop": 0},
    "a crop above 1": {"crop": 1.5},
    "another decoding": {"decoding": "half"},
    "another filter": {"interpolation": "nearest"},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_received_trunk_with_an_input_that_cannot_be_is_refused(wrong: str, tmp_path: Path) -> None:
    Trunk("small_cnn", build_small_cnn(), Preprocessing((24, 16), fit="pad")).save(tmp_path, {})
    path = tmp_path / "trunk.json"
    path.write_text(json.dumps(changed(json.loads(path.read_text()), **WRONG[wrong])))
    with pytest.raises(TrunkError) as caught:
        Trunk.load(tmp_path)
    said = str(caught.value)
    assert "trunk.json" in said
    assert next(iter(WRONG[wrong])) in said
    assert "\n" not in said


def test_images_too_small_for_a_backbone_are_refused_on_either_side() -> None:
    with pytest.raises(TrunkError, match="Images of 96 x 40 pixels are too small for inception_v3; use 75 or more"):
        Trunk("inception_v3", build_small_cnn(), Preprocessing((96, 40)))


def test_an_open_file_is_left_as_it_was() -> None:
    buffer = io.BytesIO()
    striped(30, 30).save(buffer, "PNG")
    image = Image.open(io.BytesIO(buffer.getvalue()))
    Preprocessing((10, 5), fit="crop").pixels(image)
    assert image.size == (30, 30)
