"""Export a label graph as one pooled matrix product in ONNX, and put it into a bundle, on the same trunk.

An exported folder holds `label_graph.onnx` (features in, probabilities out), `label_graph.json` (its contract:
labels with attributes and thresholds, input, trunk, SHA-256 of each file) and `golden.npz`. Of the graph nothing is
left. In a bundle it lies beside the branches: listed, verified, and run behind the bundle's trunk.
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from branches.export.folder import TOLERANCE, relative_error, run_onnx, write_onnx
from deployment.bundle.change import announce, changing
from deployment.bundle.write import folder_for
from deployment.errors import BundleError
from deployment.runtime.checks import problems_of
from deployment.runtime.exported import Exported
from deployment.runtime.files import LABEL_GRAPH, read_labels
from foundation.files import write_json
from foundation.folders import file_hashes, replaced_folder
from label_graph.classifier import ConstantClassifier
from label_graph.saved import RECORD, ClassifierRecord, load_classifiers

FORMAT = 1
GOLDEN_ROWS = 8
ONNX = "label_graph.onnx"


class LabelScores(nn.Module):
    """Features (N, C, H, W) -> probabilities (N, L): what `label_graph.onnx` computes."""

    def __init__(self, classifier: ConstantClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.classifier(features).sigmoid()
        return scores


def export_label_graph(
    saved: Path, destination: Path, *, golden: Tensor | None = None, fingerprint: str | None = None
) -> Path:
    """Write the deployable folder of a trained label graph and return it.

    Args:
        saved: a folder of `label_graph.saved.save_classifiers`: ``runs/label_graph/ID`` of a project.
        destination: replaced when it holds a label graph already.
        golden: features (8, C, H, W) to check with, of the trunk at the record's depth; None draws some, seeded.
        fingerprint: of the trunk it is deployed with; None asks nothing.

    Raises:
        LabelGraphError: ``saved`` holds no label graph. BundleError: it belongs to another trunk, or ``golden`` has
        another shape. UserError: ``destination`` is somebody's own folder. RuntimeError: the ONNX file differs.
    """
    classifier, record = load_classifiers(saved)
    if fingerprint is not None and fingerprint != record.fingerprint:
        raise BundleError(
            f"the label graph in {saved} was trained on trunk {record.fingerprint[:12]}, this is trunk "
            f"{fingerprint[:12]}: train it again with graftnet graph train"
        )
    features = golden_features(record) if golden is None else golden.detach().cpu().float().contiguous()
    if tuple(features.shape[1:]) != record.feature_shape or len(features) < 2:
        raise BundleError(
            f"golden features must be (2 or more, {record.feature_shape}), got {tuple(features.shape)}: give features "
            f"of this label graph's trunk and depth"
        )
    scores = LabelScores(classifier).eval()
    with torch.no_grad():
        expected = scores(features)
    with replaced_folder(destination, RECORD) as folder:
        write_onnx(scores, features, folder / ONNX, input_name="features", output_names=["scores"])
        np.savez(folder / "golden.npz", features=features.numpy(), scores=expected.numpy())
        for count in (len(features), 1):
            error = relative_error(run_onnx(folder / ONNX, features[:count])[0], expected[:count])
            if not error <= TOLERANCE:
                raise RuntimeError(f"{ONNX} differs from its classifiers by {error:.2e}, more than {TOLERANCE}")
        contract = {
            "format": FORMAT,
            **record.to_json(),
            "input": {"name": "features", "shape": ["batch", *record.feature_shape], "dtype": "float32"},
            "output": {"name": "scores", "shape": ["batch", len(record.labels)], "dtype": "float32"},
            "parameters": sum(parameter.numel() for parameter in classifier.parameters()),
            "tolerance": TOLERANCE,
            "files": file_hashes(folder),
        }
        write_json(folder / RECORD, contract)
    return destination


def golden_features(record: ClassifierRecord) -> Tensor:
    """Features as a trunk could give them (after a relu): half of them zero."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(GOLDEN_ROWS, *record.feature_shape, generator=generator).relu()


def put_label_graph(bundle: Path, exported: Path) -> tuple[str, ...]:
    """Copy an exported label graph into a bundle, in place of an earlier one; returns the names of its labels.

    Raises: BundleError when the folder holds none, or it is of another trunk, or of a depth at which the bundle's trunk
    gives no map; RuntimeError when it does not give its golden scores: then the bundle is as it was.
    """
    record = read_labels(exported)
    with changing(bundle) as index:
        if record["fingerprint"] != index["fingerprint"]:
            raise BundleError(
                f"the label graph in {exported} was trained on trunk {record['fingerprint']}, that of {bundle} is "
                f"{index['fingerprint']}: train it again on this trunk"
            )
        if str(record["freeze_depth"]) not in index["outputs"]:
            raise BundleError(
                f"the label graph in {exported} reads the map after {record['freeze_depth']} blocks, the trunk of "
                f"{bundle} gives those after {', '.join(index['outputs'])}: train it at one of these depths"
            )
        old = index.get("label_graph")
        folder = folder_for("labels", index, bundle)
        announce(bundle, index, folder.name)
        with replaced_folder(folder, f"{LABEL_GRAPH}.json") as written:
            for name in (*record["files"], f"{LABEL_GRAPH}.json"):
                shutil.copyfile(exported / name, written / name)
        new = {**index, "label_graph": {"folder": folder.name, "files": file_hashes(folder)}}
        try:
            if problems := problems_of(Exported(bundle, index=new)):
                raise RuntimeError(f"the label graph in {exported} is not what was exported: {'; '.join(problems)}")
        except (BundleError, RuntimeError):
            shutil.rmtree(folder, ignore_errors=True)
            raise
        write_json(bundle / "bundle.json", new)
        if old:
            shutil.rmtree(bundle / old["folder"], ignore_errors=True)
    return tuple(label["name"] for label in record["labels"])
