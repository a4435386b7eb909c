"""Bundles that somebody changed: refused or found by verify, each with the place named; nothing outside is read."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deployment.bundle import write_bundle
from deployment.calibration import require_calibration
from deployment.errors import BundleError
from deployment.runtime import Runtime
from deployment.runtime.files import is_plain_name, read_golden
from tests.deployment.bundles import save_small, small_trunk


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tampered")
    trunk = small_trunk(0)
    write_bundle(trunk, [save_small(home / "saved", trunk, "bald")], home / "bundle")
    return home


@pytest.fixture
def bundle(home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(home / "bundle", tmp_path / "bundle")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def branch(record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = record["branches"]["bald"]
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda record: branch(record).update(folder="../saved/bald"),
        lambda record: branch(record).update(folder="/etc"),
        lambda record: branch(record).update(folder=".."),
        lambda record: branch(record).update(folder=["bald"]),
        lambda record: record["branches"].update({"a/b": branch(record)}),
        lambda record: record["files"].update({"../secret": "0" * 64}),
        lambda record: record["files"].update({"trunk.onnx": "no hash"}),
        lambda record: record["joined"].update(file="..\\graftnet.onnx"),
        lambda record: record.update(branches=[]),
        lambda record: record.update(tolerance=1e9),
        lambda record: record.update(tolerance=float("nan")),
        lambda record: record.update(tolerance=True),
        lambda record: branch(record).update(threshold=float("inf")),
        lambda record: branch(record).update(values=["one"]),
        lambda record: branch(record).update(freeze_depth=7),
        lambda record: record["preprocessing"].update(size=10**12),
        lambda record: record["preprocessing"].update(size=-1),
        *(
            lambda record, wrong=wrong: record["preprocessing"].update(wrong)
            for wrong in (
                {"size": [0, 5]},
                {"size": [96]},
                {"size": [96, 96, 3]},
                {"size": "96"},
                {"size": True},
                {"size": [16, True]},
                {"size": 9000},
                {"mean": [0.5, 0.5]},
                {"mean": "0.5"},
                {"fit": "stretch"},
                {"fit": ["pad"]},
                {"crop": 0},
                {"crop": 2},
                {"crop": "1"},
                {"decoding": "half"},
            )
        ),
        lambda record: record["preprocessing"].update(std=[0.0, 1.0, 1.0]),
        lambda record: record["preprocessing"].update(interpolation="__import__('os')"),
        lambda record: record.pop("fingerprint"),
        lambda record: record.update(format=99),
    ],
)
def test_an_index_that_cannot_be_is_refused(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    edit(bundle / "bundle.json", change)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Runtime(bundle)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(attribute="../bald"),
        lambda record: record["input"].update(shape=["batch", 10**15, 1, 1]),
        lambda record: record["output"].update(shape=["batch", 5]),
        lambda record: record["files"].update({"../../x": "0" * 64}),
        lambda record: record.update(threshold=[]),
    ],
)
def test_a_contract_that_cannot_be_is_refused(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    edit(bundle / "bald" / "branch.json", change)
    with pytest.raises(BundleError, match=r"branch\.json"):
        Runtime(bundle)


@pytest.mark.parametrize("text", ["", "[]", "nothing", "[" * 100_000, '{"format": 1}'])
def test_records_that_are_none_are_refused(bundle: Path, text: str) -> None:
    (bundle / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Runtime(bundle)


def test_a_branch_under_another_name_is_refused(bundle: Path) -> None:
    edit(bundle / "bundle.json", lambda record: record["branches"].update(hat=record["branches"].pop("bald")))
    with pytest.raises(BundleError, match="is branch 'bald', not 'hat'"):
        Runtime(bundle)


def problem(folder: Path, part: str) -> str:
    checks = {check["branch"]: check for check in Runtime(folder).verify()}
    assert not checks[part]["ok"]
    return str(checks[part]["problem"])


def test_links_are_not_followed(bundle: Path, tmp_path: Path) -> None:
    for name in ("trunk.onnx", "bald"):
        shutil.move(bundle / name, tmp_path / name)
        (bundle / name).symlink_to(tmp_path / name)
    assert "is a link" in problem(bundle, "trunk")
    assert "is a link" in problem(bundle, "bald")
    images = np.zeros((1, 3, 16, 16), np.float32)
    with pytest.raises(BundleError, match="is a link"):
        Runtime(bundle).scores_of_images(images)
    (bundle / "bundle.json").rename(tmp_path / "bundle.json")
    (bundle / "bundle.json").symlink_to(tmp_path / "bundle.json")
    with pytest.raises(BundleError, match="a link"):
        Runtime(bundle)


def test_a_file_that_is_not_listed_is_found(bundle: Path) -> None:
    (bundle / "bald" / "extra.py").write_text("")
    assert "extra.py is not listed" in problem(bundle, "bald")


@pytest.mark.parametrize(
    "name", ["extra.py", "notes.txt", ".hidden", "other/branch.onnx", "graftnet-int8.onnx", "x.part"]
)
def test_a_file_or_folder_that_the_bundle_lists_nowhere_is_found(bundle: Path, name: str) -> None:
    assert all(check["ok"] for check in Runtime(bundle).verify())
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes((bundle / "trunk.onnx").read_bytes())
    assert problem(bundle, "bundle") == f"{bundle / name.partition('/')[0]} is not listed"
    (bundle / "two").touch()
    assert problem(bundle, "bundle").count("is not listed") == 2


def test_a_branch_alone_holds_nothing_else_either(bundle: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(bundle / "bald", tmp_path / "alone")
    (alone / "card.md").write_text("# bald\n")
    assert all(check["ok"] for check in Runtime(alone).verify())
    (alone / "extra.py").touch()
    assert problem(alone, "bald") == f"{alone / 'extra.py'} is not listed"


def test_a_note_of_a_change_that_is_none_is_refused(bundle: Path) -> None:
    for text in ("[]", '{"names": ["../x"]}', '{"names": 3}', ""):
        (bundle / ".graftnet.change").write_text(text)
        with pytest.raises(BundleError, match=r"graftnet\.change"):
            Runtime(bundle).verify()


def curve(scores: object, mapped: object) -> dict[str, object]:
    return {"method": "isotonic", "curves": [{"scores": scores, "calibrated": mapped}]}


@pytest.mark.parametrize(
    "calibration",
    [
        {},
        [],
        "temperature",
        {"method": "platt"},
        {"method": "temperature"},
        {"method": "temperature", "temperature": 0},
        {"method": "temperature", "temperature": -1.0},
        {"method": "temperature", "temperature": 1e-320},
        {"method": "temperature", "temperature": float("nan")},
        {"method": "temperature", "temperature": float("inf")},
        {"method": "temperature", "temperature": "1"},
        {"method": "temperature", "temperature": True},
        {"method": "temperature", "temperature": 10**400},
        {"method": "isotonic"},
        {"method": "isotonic", "curves": []},
        {"method": "isotonic", "curves": [{"scores": [0.0, 1.0], "calibrated": [0.1, 0.9]}] * 2},
        curve([], []),
        curve([0.0, 1.0], [0.5]),
        curve([0.0, 1.0], [0.5, 1.5]),
        curve([0.0, 1.0], [float("nan"), 0.5]),
        curve([1.0, 0.0], [0.1, 0.5]),
        curve([0.0, float("inf")], [0.1, 0.5]),
        curve([0.0, 1.0], ["a", "b"]),
        curve([0.0, 10**400], [0.1, 0.5]),
        curve({"0": 1}, [0.1]),
        curve(None, None),
    ],
    ids=str,
)
def test_a_calibration_that_predict_refuses_is_refused_by_verify(bundle: Path, calibration: object) -> None:
    path = bundle / "bald" / "branch.json"
    edit(path, lambda record: record.update(calibration=calibration))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(bundle / "bundle.json", lambda record: branch(record)["files"].update({"branch.json": digest}))
    with pytest.raises(BundleError, match=r"branch\.json is no record of a branch"):
        Runtime(bundle).verify()


@pytest.mark.parametrize(
    "calibration", [None, {"method": "temperature", "temperature": 1.5}, curve([0.1, 0.1, 0.9], [0.2, 0.3, 0.3])]
)
def test_a_calibration_that_verify_passes_predict_uses(bundle: Path, calibration: object) -> None:
    path = bundle / "bald" / "branch.json"
    edit(path, lambda record: record.update(calibration=calibration))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(bundle / "bundle.json", lambda record: branch(record)["files"].update({"branch.json": digest}))
    assert all(check["ok"] for check in Runtime(bundle).verify())
    runtime = Runtime(bundle)
    for score in (0.0, 1e-30, 0.5, 1.0):
        found = runtime.decide("bald", np.array([1 - score, score], np.float32))["calibrated"]
        assert (found is None) == (calibration is None)
        assert found is None or sum(found.values()) == pytest.approx(1)


def test_curves_that_sum_to_nothing_are_refused() -> None:
    empty = {"scores": [0.0, 1.0], "calibrated": [0.0, 1.0]}
    with pytest.raises(ValueError, match="sum of the lowest"):
        require_calibration({"method": "isotonic", "curves": [empty] * 3}, 3)
    some = {"scores": [0.0, 1.0], "calibrated": [0.01, 1.0]}
    require_calibration({"method": "isotonic", "curves": [empty, empty, some]}, 3)


def test_a_depth_that_the_trunk_gives_no_map_of_is_one_sentence(bundle: Path, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    edit(bundle / "bald" / "branch.json", lambda record: record.update(freeze_depth=7))
    with pytest.raises(BundleError, match="gives no map"):
        Runtime(bundle).predict([tmp_path / "a.png"])


def test_a_changed_file_is_never_run(bundle: Path) -> None:
    images = np.zeros((1, 3, 16, 16), np.float32)
    runtime = Runtime(bundle)
    (bundle / "bald" / "branch.onnx").write_bytes((bundle / "trunk.onnx").read_bytes())
    with pytest.raises(BundleError, match="changed since it was exported"):
        runtime.scores_of_images(images)


class Loud:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": np.array([Loud()], dtype=object)},
        {"images": np.zeros((1, 3, 16, 16))},
        {"images": np.full((1, 3), np.nan, np.float32)},
        {"images": np.zeros((0, 3), np.float32)},
        {"other": np.zeros(3, np.float32)},
    ],
)
def test_golden_arrays_that_are_none_are_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "golden.npz", **arrays)
    with pytest.raises(BundleError, match=r"golden\.npz"):
        read_golden(tmp_path / "golden.npz", ["images"])


def test_archives_that_unfold_to_more_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "golden.npz", images=np.zeros(10**6, np.float32))
    with pytest.raises(BundleError, match="compressed"):
        read_golden(tmp_path / "golden.npz", ["images"])
    header = (
        b"\x93NUMPY\x01\x00v\x00"
        + repr({"descr": "<f4", "fortran_order": False, "shape": (10**12,)}).encode().ljust(117)
        + b"\n"
    )
    with zipfile.ZipFile(tmp_path / "golden.npz", "w") as archive:
        archive.writestr("images.npy", header)
    with pytest.raises(BundleError, match="holds no golden images"):
        read_golden(tmp_path / "golden.npz", ["images"])
    (tmp_path / "golden.npz").write_bytes(pickle.dumps(Loud()))
    with pytest.raises(BundleError, match="holds no golden images"):
        read_golden(tmp_path / "golden.npz", ["images"])


@pytest.mark.parametrize("name", ["bald", "age.group", "Haar lang", "größe"])
def test_names_that_are_plain(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "C:", "a\nb", "a\0", "x" * 201, 3, None])
def test_names_that_are_not(name: object) -> None:
    assert not is_plain_name(name)


def test_the_bundles_own_runtime_verifies_it_without_this_toolkit(bundle: Path) -> None:
    refuse = "import sys; sys.modules.update(dict.fromkeys(('torch', 'onnx', 'PIL', 'branches', 'trunk')))\n"
    script = (
        f"{refuse}import runpy; sys.argv = ['x']; runpy.run_path({str(bundle / 'runtime.pyz')!r}, run_name='__main__')"
    )
    command = [sys.executable, "-I", "-B", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", "trunk:"],
        ["ok", "bald:"],
        ["ok", "joined:"],
    ]
    (bundle / "bald" / "branch.onnx").write_bytes(b"")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "changed since it was exported" in done.stdout
    (bundle / "bundle.json").write_text("{}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def made(path: Path, kind: str) -> Path:
    """Something of no export: of each kind that a folder can hold."""
    path.parent.mkdir(exist_ok=True)
    match kind:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("/etc/hostname")
        case "dangling":
            path.symlink_to("nowhere")
        case "pipe":
            os.mkfifo(path)
        case _:
            path.write_text("print(1)")
    return path


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling", "pipe"])
@pytest.mark.parametrize("name", ["__pycache__", ".DS_Store", "...", ".git", "a.part", ".x.part", ".graftnet.onnx.new"])
def test_nothing_unlisted_passes(name: str, kind: str, bundle: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(bundle / "bald", tmp_path / "alone"))
    for folder, check in ((bundle, "bundle"), (bundle / "bald", "bald"), (alone, "bald")):
        path = made(folder / name, kind)
        whole = alone if folder == alone else bundle
        assert f"{path} is not listed" in problem(whole, check)
        shutil.rmtree(path) if kind == "folder" else path.unlink()
        assert all(verdict["ok"] for verdict in Runtime(whole).verify())


def test_imported_source_leaves_a_folder_that_is_named_with_its_cause(bundle: Path) -> None:
    made(bundle / "bald/__pycache__/branch.cpython-311.pyc", "file")
    assert "__pycache__ is not listed (Python makes it where a branch.py is imported" in problem(bundle, "bald")


@pytest.mark.parametrize("kind", ["folder", "link", "dangling", "pipe"])
def test_a_card_is_a_file(kind: str, bundle: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(bundle / "bald", tmp_path / "alone"))
    (alone / "card.md").unlink(missing_ok=True)
    made(alone / "card.md", kind)
    assert "card.md is not listed" in problem(alone, "bald")


@pytest.mark.parametrize("name", ["extra.py", "run", "hat/extra.py", "hat/.x/branch.onnx.py", ".x.part/run"])
def test_a_note_of_a_change_covers_no_more_than_a_change_writes(name: str, bundle: Path) -> None:
    (bundle / ".graftnet.change").write_text('{"names": ["extra.py", "run", "hat"]}')
    assert all(verdict["ok"] for verdict in Runtime(bundle).verify())
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).touch()
    assert f"{bundle / name.partition('/')[0]} is not listed" in problem(bundle, "bundle")
