"""The exported label graph: what the module says, from one matrix product, under a contract."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from deployment.bundle.label_graph import ONNX, export_label_graph
from deployment.errors import BundleError
from foundation.errors import UserError
from label_graph.saved import load_classifiers
from tests.label_graph.test_saved import saved


def test_the_exported_graph_gives_the_modules_probabilities(tmp_path: Path):
    saved(tmp_path / "run")
    module, record = load_classifiers(tmp_path / "run")
    folder = export_label_graph(tmp_path / "run", tmp_path / "out", fingerprint=record.fingerprint)
    maps = torch.randn(5, 6, 2, 3, generator=torch.Generator().manual_seed(1))
    session = onnxruntime.InferenceSession(str(folder / ONNX), providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"features": maps.numpy()})
    torch.testing.assert_close(torch.from_numpy(scores), module(maps).sigmoid(), atol=1e-6, rtol=1e-6)
    contract = json.loads((folder / "label_graph.json").read_text())
    assert [label["attribute"] for label in contract["labels"]] == ["hat", "sleeve"]
    assert contract["thresholds"] == [0.5, 0.25]
    assert contract["parameters"] == 2 * 6 + 2
    for name, expected in contract["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected
    assert set(contract["files"]) == {ONNX, "golden.npz"}
    with np.load(folder / "golden.npz") as golden:
        (again,) = session.run(["scores"], {"features": golden["features"]})
        np.testing.assert_allclose(again, golden["scores"], rtol=1e-4, atol=1e-7)
    operations = [node.op_type for node in onnx.load(str(folder / ONNX)).graph.node]
    assert operations == ["ReduceMax", "Gemm", "Sigmoid"]
    # it may be written again, but never over somebody's own folder
    export_label_graph(tmp_path / "run", folder)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds no label_graph\.json"):
        export_label_graph(tmp_path / "run", tmp_path / "own")


def test_another_trunk_and_other_features_are_refused(tmp_path: Path):
    saved(tmp_path / "run")
    with pytest.raises(BundleError, match="trained on trunk ffffffffffff, this is trunk 000000000000"):
        export_label_graph(tmp_path / "run", tmp_path / "out", fingerprint="0" * 64)
    with pytest.raises(BundleError, match=r"golden features must be \(2 or more, \(6, 2, 3\)\)"):
        export_label_graph(tmp_path / "run", tmp_path / "out", golden=torch.ones(8, 6, 1, 1))
    assert not (tmp_path / "out").exists()
