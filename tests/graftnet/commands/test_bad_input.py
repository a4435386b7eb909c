"""Every mistake that the main road can meet: one sentence that says what, where and what to do, and exit code 2."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from graftnet.cli import run
from reports.result_schema import check_result
from tests.graftnet.searches.test_run import make_project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with data and a trunk, not searched."""
    folder = tmp_path_factory.mktemp("bad")
    make_project(folder, 80)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(shutil.copytree(made, tmp_path / "copy"))
    monkeypatch.chdir(folder)
    return folder


def lines_of(project: Path) -> tuple[Path, list[str]]:
    path = project / "data" / "bright.csv"
    return path, path.read_text().splitlines()


def missing_file_in_line_7(project: Path) -> None:
    path, lines = lines_of(project)
    lines[6] = "images/nowhere.png," + lines[6].split(",", 1)[1]
    path.write_text("\n".join(lines) + "\n")


def one_class_only(project: Path) -> None:
    path, lines = lines_of(project)
    path.write_text("\n".join([lines[0], *(line for line in lines[1:] if ",no," in line)]) + "\n")


def truncated_image(project: Path) -> None:
    path, lines = lines_of(project)
    image = path.parent / lines[1].split(",")[0]
    image.write_bytes(image.read_bytes()[:60])


def another_trunks_cache(project: Path) -> None:
    assert run(["cache", "bright"]) == 0
    (cache,) = (project / "runs" / "cache").glob("*/cache.json")
    cache.write_text(json.dumps({**json.loads(cache.read_text()), "fingerprint": "0" * 64}))


def changed_trunk(project: Path) -> None:
    (weights,) = (project / "runs" / "trunk").glob("*/weights.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)


def unknown_key_and_wrong_type(project: Path) -> None:
    (project / "graftnet.toml").write_text("[search]\nepochs = 'ten'\nnode = 3\n[trunk]\nbatch_size = 1\n")


def depth_too_large(project: Path) -> None:
    config = project / "graftnet.toml"
    config.write_text(config.read_text().replace("freeze_depth = 4", "freeze_depth = 9"))


def no_trunk(project: Path) -> None:
    shutil.rmtree(project / "runs" / "trunk")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (missing_file_in_line_7, ["bright.csv", "line 7", "nowhere.png"]),
        (one_class_only, ["bright.csv", "value"]),
        (truncated_image, [".png", "truncated"]),
        (another_trunks_cache, ["000000000000", "trunk", "delete"]),
        (changed_trunk, ["weights.safetensors", "fingerprint"]),
        (unknown_key_and_wrong_type, ["search.epochs", "search.node", "did you mean", "trunk.batch_size"]),
        (depth_too_large, ["freeze_depth", "between 1 and 6", "is 9"]),
        (no_trunk, ["no trunk yet", "graftnet trunk train"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_project_is_one_sentence(
    damage: Callable[[Path], None], expected: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(project)
    capsys.readouterr()
    assert run(["search", "bright", "--device", "cpu", "--json"]) == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out.splitlines()[-1])["error"]
    assert "Traceback" not in captured.err
    assert "\n" not in error
    assert error.endswith(".")
    for part in expected:
        assert part in error, error
    assert not list((project / "runs").rglob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["search", "brigth"], "did you mean bright"),
        (["data", "import", "nowhere.csv"], "nowhere.csv"),
        (["data", "check", "nothing"], "nothing"),
        (["trunk", "use", "nowhere"], "nowhere is no trunk"),
        (["trunk", "use", "data/bright.csv"], "no file of plain tensors"),
        (["graft", "bright"], "graftnet search bright"),
        (["export", "bright"], "graftnet graft bright"),
        (["search", "bright", "--project", "elsewhere"], "elsewhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_is_one_sentence(
    arguments: list[str], expected: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert expected in json.loads(captured.out.splitlines()[-1])["error"]
    assert "Traceback" not in captured.err


def test_a_full_disk_while_caching(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    real = np.save
    monkeypatch.setattr(np, "save", fill)
    assert run(["cache", "bright", "--device", "cpu", "--json"]) == 2
    assert "disk is full" in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    monkeypatch.setattr(np, "save", real)
    assert run(["cache", "bright", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["computed"] == 80


def make_features(**changes: object) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for split, count in (("train", 40), ("val", 20), ("test", 20)):
        arrays[f"y_{split}"] = np.arange(count) % 2
        arrays[f"x_{split}"] = rng.normal(size=(count, 5, 2, 2)).astype(np.float32)
        arrays[f"x_{split}"][:, 0] += arrays[f"y_{split}"][:, None, None]
    return {**arrays, **changes}  # type: ignore[dict-item]


def nan_row() -> np.ndarray:
    x = make_features()["x_val"].copy()
    x[3, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"x_val": nan_row()}, "x_val has NaN or infinity in 1 of 20 rows (first: row 3)"),
        ({"y_train": np.arange(39) % 2}, "x_train has 40 rows but y_train has shape (39,)"),
        ({"x_test": np.zeros((20, 4, 2, 2), np.float32)}, "make them agree"),
        ({"y_val": np.full(20, 7)}, "y_val has the value 7, which y_train lacks"),
        ({"y_train": np.zeros(40, np.int64)}, "y_train has one value only"),
        ({"y_val": np.zeros(20, np.int64)}, "y_val lacks the value 1"),
        ({"y_train": np.linspace(0, 1, 40)}, "must hold whole numbers or strings"),
        ({"x_train": np.zeros((40, 5, 2), np.float32)}, "(N, C, H, W) or (N, C)"),
        ({"x_train": np.array([object()] * 40)}, "cannot be read as an .npz file of plain arrays"),
        ({"x_test": np.zeros((0, 5, 2, 2), np.float32), "y_test": np.zeros(0, np.int64)}, "x_test is empty"),
        ({"y_test": np.zeros(20, np.int64)}, "y_test lacks the value 1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_features_file_is_one_sentence(
    changes: dict[str, object], expected: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("feats.npz", **make_features(**changes))  # type: ignore[arg-type]
    assert run(["search", "--features", "feats.npz", "--json"]) == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out.splitlines()[-1])["error"]
    assert expected in error
    assert "feats.npz" in error
    assert "Traceback" not in captured.err


def test_a_features_file_that_lacks_arrays_or_is_none(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = make_features()
    np.savez("feats.npz", x_train=arrays["x_train"], labels=arrays["y_train"])
    assert run(["search", "--features", "feats.npz"]) == 2
    assert "feats.npz lacks y_train, x_val, y_val; it has labels" in capsys.readouterr().err
    whole = Path("feats.npz").read_bytes()
    for content in (b"not a zip archive", whole[: len(whole) // 2], b""):
        Path("feats.npz").write_bytes(content)
        assert run(["search", "--features", "feats.npz"]) == 2
        assert "cannot be read as an .npz file" in capsys.readouterr().err
    np.save("one.npy", arrays["x_train"])
    Path("one.npy").rename("feats.npz")
    assert run(["search", "--features", "feats.npz"]) == 2
    assert "one array without a name" in capsys.readouterr().err


def test_a_search_on_features_of_ones_own(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("mine.npz", **make_features())  # type: ignore[arg-type]
    toml = project / "graftnet.toml"
    toml.write_text(
        toml.read_text().replace("[retrain]\nepochs = 2\n", "[retrain]\nepochs = 30\nlearning_rate = 0.02\n")
    )
    for option in ("--freeze-depth", "--blocks"):
        assert run(["search", "--features", "mine.npz", option, "3"]) == 2
        assert f"{option} has no meaning here" in capsys.readouterr().err
    assert run(["search", "--features", "mine.npz", "--json"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["attribute"] == "mine"
    assert record["test"]["auroc"] > 0.75
    assert Path(record["report"]).is_file()
    result = json.loads((Path(record["folder"]) / "result.json").read_text())
    check_result(Path(record["folder"]) / "result.json")
    assert result["fingerprint"] is None
    assert "tail" not in result["controls"]
