"""Many images at once: folders and patterns, one bad picture among good ones, and the same by runtime.pyz."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deployment.bundle import write_bundle
from deployment.errors import BundleError
from deployment.runtime import Runtime
from deployment.runtime.named import named_images
from graftnet.cli import run
from tests.deployment.bundles import save_small, small_trunk


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("many")
    trunk = small_trunk(0)
    return write_bundle(trunk, [save_small(home / "saved", trunk, "bald")], home / "bundle")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 pictures below two folders; the working directory lies above."""
    rng = np.random.default_rng(0)
    for number in range(40):
        path = tmp_path / "photos" / ("a" if number % 2 else "b") / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(255, size=(20, 20, 3), dtype=np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def last(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    record: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return record


def test_good_pictures_are_answered_beside_bad_ones(bundle: Path, photos: Path) -> None:
    files = sorted(photos.rglob("*.png"))
    runtime = Runtime(bundle, threads=1)
    before = runtime.predict(files)
    for number in (0, 7, 39):
        spoil(files[number])
    rows = list(runtime.answers([*files, photos / "none.png"]))
    assert [row["image"] for row in rows] == [*map(str, files), str(photos / "none.png")]
    assert [number for number, row in enumerate(rows) if "error" in row] == [0, 7, 39, 40]
    for number, row in enumerate(rows):
        if "error" in row:
            assert set(row) == {"image", "error"}
            assert row["image"] in row["error"]
        else:
            scores = row["attributes"]["bald"]["scores"]
            assert scores == pytest.approx(before[number]["attributes"]["bald"]["scores"], rel=1e-4)
    with pytest.raises(BundleError, match="cannot be read as an image"):
        runtime.predict(files)
    with pytest.raises(BundleError, match="no branch 'hat'"):
        next(runtime.answers([files[0]], attributes=["hat"]))


def test_folders_and_patterns(photos: Path) -> None:
    everything = [path.relative_to(photos.parent) for path in sorted(photos.rglob("*.png"))]
    (photos / "a" / "notes.txt").touch()
    (photos / "a" / ".hidden.png").touch()
    (photos / ".thumbs").mkdir()
    (photos / ".thumbs" / "x.png").touch()
    (photos / "b" / "UPPER.JPG").touch()
    (photos / "b" / "page.eps").touch()
    os.mkfifo(photos / "b" / "pipe.png")
    found = named_images(["photos"])
    assert found.files == sorted([*everything, Path("photos/b/UPPER.JPG")])
    assert found.passed_over == 2
    assert named_images(["photos/a/*.png"]).files == everything[:20]
    assert named_images(["photos/**/0[0-3].png"]).files == [
        Path(f"photos/{name}.png") for name in ("a/01", "a/03", "b/00", "b/02")
    ]
    (photos / "x[1].png").touch()
    assert named_images([photos / "x[1].png"]).files == [photos / "x[1].png"]
    both = named_images(["photos/b/00.png", "photos/a", "nowhere.png"]).files
    assert both == [Path("photos/b/00.png"), *everything[:20], Path("nowhere.png")]


@pytest.mark.parametrize("word", ["nowhere.png", "nowhere/*.png", "empty"])
def test_nothing_there_is_a_mistake_of_the_call(
    bundle: Path, photos: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos.parent / "empty").mkdir()
    assert run(["predict", str(bundle), word]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert word in line


def test_predict_by_command_line(bundle: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", str(bundle), "photos/a", "--json"]) == 0
    record = last(capsys)
    assert (len(record["predictions"]), record["failed"]) == (20, 0)  # type: ignore[arg-type]
    spoil(photos / "a" / "01.png")
    (photos / "a" / "notes.txt").touch()
    assert run(["predict", str(bundle), "photos", "--json"]) == 1
    said = capsys.readouterr()
    record = json.loads(said.out.splitlines()[-1])
    assert (len(record["predictions"]), record["failed"], record["passed_over"]) == (40, 1, 1)
    assert set(record["predictions"][0]) == {"image", "error"}
    assert "images 40/40" in said.err
    assert said.err.splitlines()[0] == "Files of other kinds that were passed over: 1."
    assert said.err.splitlines()[-1] == "1 of 40 images could not be read; their place holds the reason."
    assert run(["predict", str(bundle), "photos/a/01.png", "photos/a/03.png"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("photos/a/01.png  error: photos/a/01.png cannot be read as an image")
    assert lines[1].startswith("photos/a/03.png  bald = ")


def test_json_lines_come_as_the_images_are_done(bundle: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(photos / "b" / "38.png")
    assert run(["predict", str(bundle), "photos", "--jsonl"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 40
    assert ["error" in row for row in rows] == [False] * 39 + [True]
    assert run(["predict", str(bundle), "photos", "--jsonl", "--json"]) == 2


def test_a_list_that_is_cut_short_has_what_was_done(bundle: Path, photos: Path) -> None:
    runtime = Runtime(bundle, threads=1)
    rows = runtime.answers(sorted(photos.rglob("*.png")), batch_size=4)
    assert [next(rows)["image"][-8:] for _ in range(5)] == ["a/01.png", "a/03.png", "a/05.png", "a/07.png", "a/09.png"]


def test_a_bundles_own_runtime_does_the_same(bundle: Path, photos: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(bundle, tmp_path / "alone")
    spoil(photos / "a" / "01.png")

    def predicted(*words: str) -> tuple[int, list[dict[str, object]], str]:
        command = [sys.executable, "-I", str(alone / "runtime.pyz"), "predict", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    code, rows, _ = predicted("photos")
    assert (code, len(rows)) == (1, 40)
    assert ["error" in row for row in rows] == [True] + [False] * 39
    assert predicted("photos/b/*.png")[0] == 0
    code, rows, said = predicted("nowhere.png")
    assert (code, rows, said) == (2, [], "there is no image nowhere.png: correct the path.\n")
