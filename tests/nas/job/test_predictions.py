"""Scores image by image, the pictures picked from them, and what is recorded where there are none."""

import base64
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from branches.probe import LinearProbe
from nas.job.pictures import NO_IMAGES, write_pictures
from nas.job.predictions import (
    ImageFile,
    ScoredImage,
    decided,
    most_confident,
    predictions_table,
    scored_images,
    write_predictions,
)
from trunk.features.source import ArrayFeatures, LabelledFeatures
from trunk.preprocessing import Preprocessing

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("score", "threshold", "predicted", "confidence"),
    [
        (0.3, 0.3, 1, 0.0),
        (1.0, 0.3, 1, 1.0),
        (0.15, 0.3, 0, 0.5),
        (0.0, 0.3, 0, 1.0),
        (1.0, 1.0, 1, 1.0),
        (0.6, None, 1, 0.2),
    ],
)
def test_confidence_is_the_distance_from_the_threshold(
    score: float, threshold: float | None, predicted: int, confidence: float
) -> None:
    value, found = decided(np.array([1 - score, score]), threshold)
    assert value == predicted
    assert found == pytest.approx(confidence)


def test_of_many_values_the_highest_score_decides() -> None:
    assert decided(np.array([0.2, 0.5, 0.3]), None) == (1, 0.5)


def rows_of(files: list[ImageFile] | None, values: int = 3, count: int = 12) -> list[ScoredImage]:
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(values), count)
    labels = torch.from_numpy(rng.integers(0, values, count))
    return scored_images({"val": scores}, {"val": labels}, {"val": files} if files else None, None)


def test_the_most_confident_come_first_and_no_value_crowds_out_another() -> None:
    rows = rows_of(None, count=60)
    chosen = most_confident(rows, right=False, values=3, each=4)
    assert all(row.label != row.predicted for row in chosen)
    assert [row.confidence for row in chosen] == sorted((row.confidence for row in chosen), reverse=True)
    assert {value: sum(row.label == value for row in chosen) for value in range(3)} == {0: 4, 1: 4, 2: 4}
    left = [row.confidence for row in rows if row.label == 1 and not row.right and row not in chosen]
    assert max(left) <= min(row.confidence for row in chosen if row.label == 1)


def test_features_without_images_are_told_by_their_row(tmp_path: Path) -> None:
    rows = rows_of(None)
    write_predictions(tmp_path / "predictions.csv", rows, ("a", "b", "c, d"))
    with (tmp_path / "predictions.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["image"] for row in read] == [f"row {n}" for n in range(12)]
    assert [float(row["score of c, d"]) for row in read] == [row.scores[2] for row in rows]
    write_pictures(
        tmp_path / "pictures.json", rows, [], ("a", "b", "c, d"), branch=LinearProbe(4, 3), features={}, device=CPU
    )
    assert json.loads((tmp_path / "pictures.json").read_text()) == {"missing": [NO_IMAGES]}


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1), min_size=2, max_size=3, unique=True
    ),
)
def test_the_table_is_written_as_the_standard_library_writes_it(column: list[float], values: list[str]) -> None:
    scores = np.array([[1 - score] + [score] * (len(values) - 1) for score in column])
    rows = [ScoredImage("val", place, None, 0, 1, row, 0.0) for place, row in enumerate(scores)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["split", "image", "content", "label", "predicted", *(f"score of {value}" for value in values)])
    for row in rows:
        writer.writerow(["val", f"row {row.row}", "", values[0], values[1], *map(repr, row.scores.tolist())])
    assert predictions_table(rows, values).to_csv(index=False, lineterminator="\n") == text.getvalue()


@pytest.mark.parametrize("side", [1, 3])
def test_images_that_are_gone_and_maps_that_cannot_be_are_said(tmp_path: Path, side: int) -> None:
    files = []
    for number in range(12):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (200, 100), (20 * number, 0, 0)).save(path)
        files.append(ImageFile(path, path.name, f"{number:064d}"))
    rows = rows_of(files)
    files[0].path.unlink()
    probe = LinearProbe(4, 3).eval()
    maps = np.random.default_rng(1).random((12, 4, side, side)).astype(np.float32)
    val = LabelledFeatures(ArrayFeatures(maps), torch.tensor([row.label for row in rows]), 3)
    examples = [(file, number % 3) for number, file in enumerate(files)]
    values = ("a", "b", "c")
    write_pictures(tmp_path / "pictures.json", rows, examples, values, branch=probe, features={"val": val}, device=CPU)
    record = json.loads((tmp_path / "pictures.json").read_text())
    assert "(first: 0.png)" in record["missing"][0]
    assert len(record["examples"]) == 11
    assert record["counts"]["of"] == sum(not row.right for row in rows)
    assert all(one["picture"].startswith("data:image/jpeg;base64,") for one in record["examples"])
    if side == 1:
        assert record["activation"] == {
            "missing": "features of one position hold no map: there is no activation map of them",
            "pictures": [],
        }
    else:
        assert record["activation"]["method"] == "CAM"
        assert record["activation"]["pictures"]


@pytest.mark.parametrize(("fit", "size"), [("squash", (96, 48)), ("crop", (24, 36)), ("pad", (24, 36))])
def test_a_map_lies_on_the_picture_as_the_trunk_saw_it(tmp_path: Path, fit: str, size: tuple[int, int]) -> None:
    own = Preprocessing((36, 24), fit=fit)
    files = []
    for number in range(12):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (200, 100), (255, 0, 0)).save(path)
        files.append(ImageFile(path, path.name, f"{number:064d}", fitted=None if fit == "squash" else own))
    rows = rows_of(files)
    maps = np.random.default_rng(1).random((12, 4, 9, 6)).astype(np.float32)
    val = LabelledFeatures(ArrayFeatures(maps), torch.tensor([row.label for row in rows]), 3)
    write_pictures(
        tmp_path / "pictures.json", rows, [(files[0], 0)], ("a", "b", "c"),
        branch=LinearProbe(4, 3).eval(), features={"val": val}, device=CPU,
    )  # fmt: skip
    record = json.loads((tmp_path / "pictures.json").read_text())

    def shown(entry: dict[str, str]) -> Image.Image:
        return Image.open(io.BytesIO(base64.b64decode(entry["picture"].partition(",")[2]))).convert("RGB")

    for entry in record["activation"]["pictures"]:
        assert shown(entry).size == size
        assert np.shape(entry["map"]) == (9, 6)
        if fit == "pad":
            assert np.array_equal(np.asarray(shown(entry)), own.pixels(Image.open(files[0].path)))
    assert shown(record["examples"][0]).size == shown(record["mistakes"][0]).size == (96, 48)  # the whole picture


def test_a_name_that_is_a_formula_is_written_as_a_path(tmp_path: Path) -> None:
    images = [ImageFile(tmp_path / "x", name, "0" * 64) for name in ("=1+1.png", "a/=1.png", "-x.png")]
    rows = [ScoredImage("val", row, file, 0, 0, np.array([0.75, 0.25]), 0.5) for row, file in enumerate(images)]
    write_predictions(tmp_path / "predictions.csv", rows, ("no", "yes"))
    read = list(csv.DictReader((tmp_path / "predictions.csv").open()))
    assert [row["image"] for row in read] == ["./=1+1.png", "a/=1.png", "./-x.png"]
