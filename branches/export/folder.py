"""Export a branch for deployment: a folder that works without this toolkit, checked before it is put in place.

The folder holds `branch.py` (plain torch, where the branch's parts can be written so), `weights.safetensors`,
`branch.onnx` (self-contained, its batch of any length), `branch.json` (the contract) and `golden.npz` (inputs with the
outputs they must give).
"""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from branches.branch import Branch
from branches.costs.module import macs, parameters
from branches.errors import BranchError
from branches.export.alone import ALONE
from branches.export.graph import written_graph
from branches.export.nodes import Unwritten
from branches.export.source import branch_source
from branches.export.traced import tail_source
from branches.saved import RECORD, WEIGHTS, BranchRecord, load_branch, plain_state
from foundation.files import write_json
from foundation.folders import file_hashes, replaced_folder
from trunk.trunk import Tail

FORMAT = 1
GOLDEN_ROWS = 8
TOLERANCE = 1e-4


class Scores(nn.Module):
    """A module that gives logits, followed by softmax: what `branch.onnx` computes."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.module(features).softmax(1)
        return scores


def export_branch(
    saved: Path | tuple[nn.Module, BranchRecord], destination: Path, *, golden: Tensor | None = None
) -> Path:
    """Write the deployable folder of one branch and return it.

    `saved` is a folder of `save_branch`, or a module with its record. `golden` (8, C, H, W) are features to check with,
    real ones where there are any; None draws some, seeded. Scores of the ONNX file and of `branch.py` must equal the
    module's to 1e-4 relative; otherwise nothing is written and RuntimeError says by how much they differ. Raises:
    BranchError for a folder that is no branch, or a destination that is somebody's own folder.
    """
    module, record = load_branch(saved) if isinstance(saved, Path) else saved
    # A copy on the CPU: the caller's module keeps its device and its mode.
    module = copy.deepcopy(module).cpu().eval()
    features = _golden(record) if golden is None else golden.detach().cpu().float().contiguous()
    if tuple(features.shape[1:]) != tuple(record.feature_shape) or len(features) < 2:
        raise BranchError(
            f"golden features must be (2 or more, {record.feature_shape}), got {tuple(features.shape)}: give features "
            f"of this branch's trunk and depth"
        )
    scores = Scores(module)
    with torch.no_grad():
        expected = scores(features)
    with replaced_folder(destination, RECORD, error=BranchError) as folder:
        text, weights, why_none = _source(module, record)
        if text:
            (folder / "branch.py").write_text(text, encoding="utf-8")
        save_file(weights, folder / WEIGHTS)
        write_graph(scores, features, folder / "branch.onnx")
        np.savez(folder / "golden.npz", features=features.numpy(), scores=expected.numpy())
        _require_equal("branch.onnx", run_onnx(folder / "branch.onnx", features)[0], expected)
        _require_equal("branch.onnx", run_onnx(folder / "branch.onnx", features[:1])[0], expected[:1])
        if text:
            scored = ALONE.scores(folder / "branch.py", features)["scores"]
            _require_equal("branch.py", torch.from_numpy(scored), expected)
        contract = {
            "format": FORMAT,
            **record.to_json(),
            "input": {"name": "features", "shape": ["batch", *record.feature_shape], "dtype": "float32"},
            "output": {"name": "scores", "shape": ["batch", len(record.values)], "dtype": "float32"},
            "source": "branch.py" if text else None,
            "without_source": why_none,
            "parameters": parameters(module),
            "macs": macs(module, record.feature_shape),
            "tolerance": TOLERANCE,
            "files": file_hashes(folder),
        }
        write_json(folder / RECORD, contract)
    return destination


def _source(module: nn.Module, record: BranchRecord) -> tuple[str | None, dict[str, Tensor], str | None]:
    """(text of branch.py, weights, None), or (None, weights, why there is no text)."""
    try:
        if isinstance(module, Branch):
            return *branch_source(module, record), None
        if isinstance(module, Tail):
            return *tail_source(module, record), None
    except BranchError as error:
        return None, plain_state(module), str(error)
    return None, plain_state(module), f"a {record.kind} is exported as ONNX and safetensors"


def relative_error(scores: Tensor, expected: Tensor) -> float:
    """The largest |found - expected| / |expected| over all scores; tiny scores are compared absolutely, at 1e-3."""
    return float(((scores - expected).abs() / expected.abs().clamp(min=1e-3)).max())


def _golden(record: BranchRecord) -> Tensor:
    """Features as a trunk could give them (after a relu): half of them zero."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(GOLDEN_ROWS, *record.feature_shape, generator=generator).relu()


def _require_equal(name: str, scores: Tensor, expected: Tensor) -> None:
    error = relative_error(scores, expected)
    if not error <= TOLERANCE:
        raise RuntimeError(f"{name} differs from the branch it was written from by {error:.2e}, more than {TOLERANCE}")


def write_graph(scores: Scores, features: Tensor, path: Path) -> None:
    """Write `branch.onnx`: node by node where the branch is made of what is known there, else by torch's exporter."""
    try:
        onnx.save(written_graph(scores, features, input_name="features", output_name="scores"), str(path))
    except Unwritten:
        write_onnx(scores, features, path, input_name="features", output_names=["scores"])


def write_onnx(module: nn.Module, example: Tensor, path: Path, *, input_name: str, output_names: Sequence[str]) -> None:
    """Export `module` (in evaluation mode, on the CPU) by torch.export; `example` has a batch of two or more.

    Weights lie inside the file. The exporter's notes on where in whose source each node came from are left out: they
    name paths of this machine.
    """
    batch = torch.export.Dim("batch", min=1)
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=[input_name],
                output_names=list(output_names),
                dynamic_shapes=({0: batch},),
            )
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    onnx.save(model, str(path))


def run_onnx(path: Path, inputs: Tensor) -> list[Tensor]:
    """All outputs of an ONNX file with one input, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    return [torch.from_numpy(output) for output in outputs]
