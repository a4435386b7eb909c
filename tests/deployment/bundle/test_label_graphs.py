"""A label graph's exported classifiers in a bundle."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from branches.export.folder import write_onnx
from deployment.bundle import write_bundle
from deployment.bundle.label_graph import put_label_graph
from deployment.errors import BundleError
from deployment.runtime import Runtime
from deployment.runtime.files import read_golden
from foundation.folders import file_hashes
from graftnet.cli import run
from tests.deployment.bundles import save_small, small_trunk
from trunk.trunk import Trunk


class Pooled(nn.Module):
    """Averages of the trunk's map times a constant matrix, as a label graph's classifiers are at work."""

    def __init__(self, channels: int, labels: int) -> None:
        super().__init__()
        weight = torch.randn(labels, channels, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        return (features.mean((2, 3)) @ self.weight.T).sigmoid()


def export_labels(folder: Path, trunk: Trunk, *, scale: float = 1.0, **other: Any) -> Path:
    """A folder as `graftnet graph export` writes it, of three labels."""
    shape = trunk.feature_shape(4)
    features = torch.rand(4, *shape, generator=torch.Generator().manual_seed(1))
    module = Pooled(shape[0], 3)
    folder.mkdir()
    write_onnx(module, features, folder / "label_graph.onnx", input_name="features", output_names=["scores"])
    np.savez(folder / "golden.npz", features=features.numpy(), scores=module(features).numpy() * np.float32(scale))
    record = {
        "format": 1,
        "labels": [{"name": name} for name in ("hat", "scarf", "coat")],
        "thresholds": [0.5, 0.4, 0.3],
        "freeze_depth": 4,
        "fingerprint": trunk.fingerprint,
        "input": {"name": "features", "shape": ["batch", *shape], "dtype": "float32"},
        "output": {"name": "scores", "shape": ["batch", 3], "dtype": "float32"},
        "tolerance": 1e-4,
        "files": file_hashes(folder),
        **other,
    }
    (folder / "label_graph.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("labels")
    trunk = small_trunk(0)
    write_bundle(trunk, [save_small(home / "saved", trunk, "bald")], home / "bundle")
    export_labels(home / "labels", trunk)
    return home


@pytest.fixture
def bundle(home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(home / "bundle", tmp_path / "bundle")


def problems(folder: Path) -> list[Any]:
    return [check["problem"] for check in Runtime(folder).verify() if not check["ok"]]


def test_it_is_listed_verified_and_run_behind_the_trunk(home: Path, bundle: Path) -> None:
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    assert put_label_graph(bundle, home / "labels") == ("hat", "scarf", "coat")
    assert {path.name for path, data in before.items() if path.read_bytes() != data} == {"bundle.json"}
    assert [check["branch"] for check in Runtime(bundle).verify()] == ["trunk", "bald", "label graph", "joined"]
    assert problems(bundle) == []
    images = torch.from_numpy(read_golden(bundle / "golden.npz", ["images"])[0])
    with torch.no_grad():
        trunk = small_trunk(0)
        expected = Pooled(trunk.feature_shape(4)[0], 3)(trunk(images, 4))
    np.testing.assert_allclose(Runtime(bundle).label_scores_of_images(images.numpy()), expected, rtol=1e-4)


def test_another_takes_its_place(home: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_label_graph(bundle, home / "labels")
    put_label_graph(bundle, home / "labels")
    assert run(["bundle", "show", str(bundle)]) == 0
    assert "label graph: hat, scarf, coat" in capsys.readouterr().out
    assert problems(bundle) == []
    assert [path.name for path in bundle.glob("labels*")] == ["labels.2"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "label_graph.onnx").write_bytes(b""), "changed since it was exported"),
        (lambda folder: (folder / "extra").touch(), "extra is not listed"),
        (lambda folder: (folder / "golden.npz").unlink(), "is missing"),
    ],
)
def test_what_changed_in_it_is_found(home: Path, bundle: Path, change: Callable[[Path], object], said: str) -> None:
    put_label_graph(bundle, home / "labels")
    change(bundle / "labels")
    assert said in problems(bundle)[0]


def test_one_that_does_not_fit_is_refused_and_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    trunk = small_trunk(0)
    before = sorted(path for path in bundle.rglob("*"))
    with pytest.raises(BundleError, match="was trained on trunk"):
        put_label_graph(bundle, export_labels(tmp_path / "other", small_trunk(1)))
    with pytest.raises(BundleError, match="reads the map after 3 blocks"):
        put_label_graph(bundle, export_labels(tmp_path / "shallow", trunk, freeze_depth=3))
    with pytest.raises(RuntimeError, match="does not give its golden outputs"):
        put_label_graph(bundle, export_labels(tmp_path / "wrong", trunk, scale=1.1))
    with pytest.raises(BundleError, match="number of thresholds"):
        put_label_graph(bundle, export_labels(tmp_path / "short", trunk, thresholds=[0.5]))
    with pytest.raises(BundleError, match="has no label graph"):
        Runtime(bundle).labels()
    with pytest.raises(BundleError, match=r"label_graph\.json cannot be read"):
        put_label_graph(bundle, tmp_path)
    assert sorted(path for path in bundle.rglob("*")) == before
