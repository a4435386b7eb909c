"""A module as one self-contained ONNX file, its first axis of any length."""

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import Tensor, nn


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
