"""A project whose trunk reads padded rectangles of scaled JPEGs, through every command from training to deployment."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graftnet.bundles.tree import golden_images
from graftnet.cli import run
from graftnet.project.folder import open_project
from graftnet.searches.features import attribute_data, cache_of
from graftnet.trunks.versions import open_trunk
from tests.graftnet.searches.test_run import CONFIG, CPU

SHAPE = (24, 16)
SHAPED = CONFIG.replace(
    "image_size = 8\n", 'image_size = [24, 16]\nfit = "pad"\ndecoding = "scaled"\nmean = [0.4, 0.5, 0.6]\n'
).replace("steps = 6", "steps = 2")
SHAPED += '\n[attributes.corner.search]\nspace = "micro"\n'


def answered(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    got = run([*arguments, "--json"])
    out = capsys.readouterr()
    assert got == code, out.err
    record: dict[str, Any] = json.loads(out.out.splitlines()[-1])
    return record


def write_photographs(folder: Path, count: int) -> None:
    """Large bright or dark JPEGs with a red or a blue corner, wide and tall, and a table of both labels."""
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir(parents=True)
    rows = [["path", "bright", "corner", "split"]]
    for number in range(count):
        bright, blue = number % 2, number // 2 % 2
        small = rng.integers(0, 60, (8, 8, 3)) + 120 * bright
        small[:3, :3] = (0, 0, 255) if blue else (255, 0, 0)
        size = (160, 100) if number % 3 else (90, 200)
        name = f"{number:03d}.jpg"
        Image.fromarray(small.astype(np.uint8)).resize(size).save(folder / "photos" / name, quality=92)
        split = "train" if number < count // 2 else "val" if number < 3 * count // 4 else "test"
        rows.append([name, "yes" if bright else "no", "blue" if blue else "red", split])
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rectangles") / "people"
    write_photographs(folder, 96)
    (folder / "graftnet.toml").write_text(SHAPED)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (
            ["data", "import", "labels.csv", "--images", "photos"],
            ["trunk", "train", "--device", "cpu"],
            ["search", "bright", "--device", "cpu"],
            ["search", "corner", "--device", "cpu"],
            ["graft", "bright"],
            ["graft", "corner"],
        ):
            assert run(command) == 0, command
    return folder


@pytest.fixture
def project(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


def test_features_have_the_maps_of_a_rectangle(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = open_project(project)
    trunk = open_trunk(opened, CPU)
    assert trunk.preprocessing.shape == SHAPE
    assert [shape[1:] for shape in trunk.shapes] == [(24, 16), (12, 8), (12, 8), (6, 4), (6, 4), (6, 4)]
    data = attribute_data(opened, trunk, "bright", 2, device=CPU)
    cache = cache_of(opened, trunk)
    assert (cache.row_shape(2), cache.row_bytes(2)) == ((12, 8, 48), 2 * 12 * 8 * 48)
    splits = data.splits()
    assert splits["train"].features.shape == (48, 12, 8)
    table = answered(capsys, "trunk", "blocks")
    assert (table["image_size"], table["blocks"][1]["height"], table["blocks"][1]["width"]) == ([24, 16], 12, 8)
    assert run(["trunk", "blocks", "--size", "32x20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "small_cnn, images of 32 x 20 pixels"
    assert lines[3].split()[4] == "16x10"


@pytest.mark.parametrize("attribute", ["bright", "corner"])
def test_records_and_pages_know_both_sides(project: Path, attribute: str, capsys: pytest.CaptureFixture[str]) -> None:
    opened = open_project(project)
    (search,) = opened.results(attribute)
    result = json.loads((search / "result.json").read_text())
    assert result["trunk"]["size"] == [24, 16]
    assert result["macs"] > 0
    assert result["tail_parameters"] > result["parameters"]
    pictures = json.loads((search / "pictures.json").read_text())["activation"]["pictures"]
    assert {np.shape(entry["map"]) for entry in pictures} <= {(6, 4), (3, 2)}
    assert pictures
    page = Path(answered(capsys, "report", attribute)["reports"][attribute]).read_text()
    assert "×6×4" in page


def test_a_bundle_from_export_to_answer(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = open_project(project)
    trunk, bundle = open_trunk(opened, CPU), tmp_path / "bundle"
    answered(capsys, "export", "--all", "--out", str(bundle))
    answered(capsys, "verify", str(bundle))
    assert run(["bundle", "show", str(bundle)]) == 0
    assert "24 x 16 px" in capsys.readouterr().out
    assert "images of 24 x 16 pixels" in (bundle / "bright" / "card.md").read_text()
    assert run(["graph", "train", "--device", "cpu"]) == 0
    (graph,) = (run for run in opened.runs.glob("label_graph/*") if run.is_dir())
    assert json.loads((graph / "result.json").read_text())["trunk"]["size"] == [24, 16]
    exported = answered(capsys, "graph", "export")["folder"]
    answered(capsys, "bundle", "labels", exported, str(bundle))
    answered(capsys, "verify", str(bundle))
    # The golden images are the trunk's own pixels: decoded at the scale that it decodes at.
    golden = golden_images(opened, trunk, ["bright"])
    assert golden is not None
    first = (opened.read("bright").split("test") + opened.read("bright").split("val"))[0]
    own = trunk.preprocessing
    assert np.array_equal(golden[0].numpy(), own.apply(own.read(first.path)).numpy())
    known = {row["image"]: row for row in csv.DictReader((opened.results("bright")[0] / "predictions.csv").open())}
    named = [name for name, row in known.items() if row["split"] == "test"][:6]
    rows = answered(capsys, "predict", str(bundle), *named)["predictions"]
    for name, row in zip(named, rows, strict=True):
        # The search's scores come from features kept in half precision.
        found = row["attributes"]["bright"]["scores"]["yes"]
        assert found == pytest.approx(float(known[name]["score of yes"]), abs=5e-3)


def test_another_shape_is_refused_with_the_remedy(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del monkeypatch
    config = project / "graftnet.toml"
    for line, other, said in (
        ("image_size = [24, 16]", "image_size = [16, 24]", "reads images of 24 x 16 pixels, but trunk.image_size in"),
        ('fit = "pad"', 'fit = "crop"', "has fit 'pad', but trunk.fit in"),
        ('decoding = "scaled"', 'decoding = "full"', "has decoding 'scaled', but trunk.decoding in"),
    ):
        config.write_text(SHAPED.replace(line, other))
        try:
            error = answered(capsys, "search", "bright", "--device", "cpu", code=2)["error"]
        finally:
            config.write_text(SHAPED)
        assert said in error
        assert "change the setting, or train or choose another trunk" in error
