"""A bundle against the toolkit: written, verified, and at work on image files in a process without torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from branches.errors import BranchError
from branches.grafting import GraftedNet
from branches.measures.calibration import calibrate
from deployment.bundle import write_bundle
from deployment.errors import BundleError
from deployment.runtime import Runtime
from deployment.runtime.images import read_normalised
from subdatasets.image_files import read_image
from tests.deployment.bundles import save_small, small_trunk
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

GRAFTS = {"bald": (("no", "yes"), 4, 0.3), "age.group": (("young", "old", "oldest"), 3, None)}
CALIBRATIONS = {"bald": {"method": "temperature", "temperature": 2.5}}


def save(folder: Path, trunk: Trunk, name: str, seed: int) -> Path:
    values, depth, threshold = GRAFTS[name]
    how: dict[str, Any] = {
        "values": values,
        "depth": depth,
        "threshold": threshold,
        "calibration": CALIBRATIONS.get(name),
    }
    return save_small(folder, trunk, name, seed=seed, **how)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """saved/<attribute>, bundle/ and images/, made once."""
    home = tmp_path_factory.mktemp("home")
    trunk = small_trunk(0)
    saved = [save(home / "saved", trunk, name, seed) for seed, name in enumerate(GRAFTS)]
    write_bundle(trunk, saved, home / "bundle")
    (home / "images").mkdir()
    rng = np.random.default_rng(0)
    for number, (mode, shape) in enumerate([("RGB", (20, 31, 3)), ("L", (16, 16)), ("RGBA", (9, 40, 4))]):
        image = Image.fromarray(rng.integers(256, size=shape, dtype=np.uint8), mode)
        image.save(home / "images" / f"{number}.png")
    deep = Image.fromarray(rng.integers(65536, size=(12, 12), dtype=np.uint16))
    deep.save(home / "images" / "3.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.open(home / "images" / "0.png").save(home / "images" / "4.jpg", exif=turned)
    return home


@pytest.fixture
def bundle(home: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(home / "bundle", tmp_path / "bundle")


def pictures(home: Path) -> list[Path]:
    return sorted((home / "images").iterdir())


def test_pixels_are_those_that_the_trunk_was_trained_on(home: Path) -> None:
    for interpolation in ("bilinear", "bicubic"):
        preprocessing = Preprocessing(16, interpolation=interpolation)
        for path in pictures(home):
            expected = preprocessing.apply(read_image(path)).numpy()
            np.testing.assert_allclose(read_normalised(path, preprocessing.to_json()), expected, atol=1e-5)


def test_predictions_are_the_toolkits(home: Path) -> None:
    trunk = small_trunk(0)
    net = GraftedNet(trunk)
    for name in GRAFTS:
        net.graft_saved(home / "saved" / name)
    paths = pictures(home)
    with torch.no_grad():
        expected = net(torch.stack([trunk.preprocessing.apply(read_image(path)) for path in paths]))
    rows = Runtime(home / "bundle").predict(paths, batch_size=2)
    assert [row["image"] for row in rows] == [str(path) for path in paths]
    for number, row in enumerate(rows):
        assert list(row["attributes"]) == list(GRAFTS)
        for name, (values, _, threshold) in GRAFTS.items():
            found = row["attributes"][name]
            np.testing.assert_allclose([found["scores"][value] for value in values], expected[name][number], rtol=1e-4)
            table = expected[name][number]
            index = int(table[1] >= threshold) if threshold else int(table.argmax())
            assert (found["value"], found["threshold"]) == (values[index], threshold)
            if name not in CALIBRATIONS:
                assert found["calibrated"] is None
                continue
            mapped = calibrate(CALIBRATIONS[name], np.array(list(found["scores"].values()))[None])[0]
            assert found["calibrated"] == pytest.approx(dict(zip(values, mapped, strict=True)))
            assert found["calibrated"] != found["scores"]


def test_the_runtime_needs_no_torch_and_none_of_our_rooms(home: Path, tmp_path: Path) -> None:
    root = Path(sys.modules["deployment.runtime"].__file__ or "").parents[2]
    script = f"""
import json, sys
REFUSED = ("torch", "torchvision", "timm", "subdatasets", "trunk", "search_spaces", "branches", "nas", "reports")
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in REFUSED:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, {str(root)!r})
from deployment.runtime import Runtime
runtime = Runtime({str(home / "bundle")!r}, threads=1)
print(json.dumps([runtime.verify(), runtime.predict({[str(path) for path in pictures(home)]!r})]))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    checks, rows = json.loads(done.stdout)
    assert [check["branch"] for check in checks] == ["trunk", *GRAFTS, "joined"]
    assert all(check["ok"] and check["max_relative_error"] < 1e-4 for check in checks)
    assert rows == Runtime(home / "bundle", threads=1).predict(pictures(home))


def test_one_branch_folder_finds_its_trunk_beside_it(home: Path) -> None:
    runtime = Runtime(home / "bundle" / "bald")
    assert [check["branch"] for check in runtime.verify()] == ["bald"]
    rows = runtime.predict(pictures(home)[:1])
    assert rows[0]["attributes"] == {
        "bald": Runtime(home / "bundle").predict(pictures(home)[:1])[0]["attributes"]["bald"]
    }


def test_a_subset_of_attributes_gives_what_the_whole_gives(home: Path) -> None:
    runtime = Runtime(home / "bundle", threads=1)
    images = np.load(home / "bundle" / "golden.npz")["images"]
    whole = runtime.scores_of_images(images)
    for names in (["age.group"], ["age.group", "bald"], []):
        found = runtime.scores_of_images(images, names)
        assert list(found) == names
        for name in names:
            np.testing.assert_array_equal(found[name], whole[name])
    assert list(runtime.predict(pictures(home)[:1], attributes=["bald"])[0]["attributes"]) == ["bald"]
    with pytest.raises(BundleError, match="no branch 'hat'"):
        runtime.scores_of_images(images, ["bald", "hat"])


def test_a_branch_alone_verifies_and_says_what_it_lacks_for_images(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "bundle" / "bald", tmp_path / "bald")
    runtime = Runtime(tmp_path / "bald")
    assert [check["ok"] for check in runtime.verify()] == [True]
    with pytest.raises(BundleError, match="no trunk beside it"):
        runtime.predict(pictures(home)[:1])


@pytest.mark.parametrize(
    ("damaged", "failing"),
    [("trunk.onnx", {"trunk"}), ("bald/branch.onnx", {"bald"}), ("bald/weights.safetensors", {"bald"})],
)
def test_a_changed_file_is_found(bundle: Path, damaged: str, failing: set[str]) -> None:
    path = bundle / damaged
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    checks = Runtime(bundle).verify()
    broken = {check["branch"] for check in checks if not check["ok"]}
    assert failing <= broken <= failing | {"trunk"}
    problem = next(check["problem"] for check in checks if check["branch"] in failing)
    assert f"{path} changed since it was exported" in problem


def test_a_missing_file_and_wrong_outputs_are_found(bundle: Path) -> None:
    (bundle / "bald" / "branch.onnx").unlink()
    with np.load(bundle / "age.group" / "golden.npz") as golden:
        features, scores = golden["features"], golden["scores"]
    np.savez(bundle / "age.group" / "golden.npz", features=features, scores=scores + 0.01)
    checks = {check["branch"]: check for check in Runtime(bundle).verify()}
    assert "branch.onnx is missing" in checks["bald"]["problem"]
    assert checks["bald"]["max_relative_error"] == 1.0
    assert not checks["age.group"]["ok"]
    assert checks["age.group"]["max_relative_error"] > 1e-3


def test_a_branch_of_another_trunk_is_refused(home: Path, bundle: Path, tmp_path: Path) -> None:
    other = save(tmp_path, small_trunk(1), "bald", 0)
    with pytest.raises(BranchError, match="was trained on trunk"):
        write_bundle(small_trunk(0), [other], tmp_path / "out")
    contract = json.loads((bundle / "bald" / "branch.json").read_text())
    (bundle / "bald" / "branch.json").write_text(json.dumps({**contract, "fingerprint": "0" * 64}))
    with pytest.raises(BundleError, match="belongs to trunk 0000"):
        Runtime(bundle).predict(pictures(home)[:1])


def test_mistakes_are_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle\.json and no branch\.json"):
        Runtime(tmp_path)
    with pytest.raises(BundleError, match="not exported"):
        Runtime(home / "saved" / "bald")
    with pytest.raises(BundleError, match="at least one branch"):
        write_bundle(small_trunk(0), [], tmp_path / "out")
    with pytest.raises(BundleError, match="are both 'bald'"):
        write_bundle(small_trunk(0), [home / "saved" / "bald"] * 2, tmp_path / "out")
    (tmp_path / "torn.png").write_bytes((home / "images" / "0.png").read_bytes()[:200])
    for name in ("torn.png", "none.png"):
        with pytest.raises(BundleError, match=name):
            Runtime(home / "bundle").predict([tmp_path / name])
