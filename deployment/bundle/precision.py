"""Quantise a joined graph: weights and maps as 8-bit integers, images and scores float32.

It is static: ranges of the maps are measured beforehand on calibration images, weights have a scale per
output channel. Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference (Jacob et
al., 2018), arXiv:1712.05877; here by onnxruntime's tools, for convolutions and what lies between them, while the heads
stay in float32. Whether that pays is for `deployment.bundle.variants` to say.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

Floats = npt.NDArray[np.float32]
INTEGER_OPERATIONS = ("Conv", "Relu", "MaxPool", "AveragePool", "Concat", "Add", "Split")


def in_integers(joined: onnx.ModelProto, images: Iterable[Floats], *, keep: Sequence[str] = ()) -> onnx.ModelProto:
    """The graph with 8-bit convolutions; `images` are calibration batches (N, 3, S, S).

    The branches of the attributes `keep` stay in float32.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    level = logging.root.level
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("joined.onnx", "integers.onnx")]
        onnx.save(joined, str(paths[0]))
        try:
            logging.root.setLevel(logging.ERROR)
            heads = _heads(joined.graph)
            kept = tuple(f"branch/{name}/" for name in keep)
            quantize_static(
                str(paths[0]),
                str(paths[1]),
                _Batches(joined.graph.input[0].name, images),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                op_types_to_quantize=list(INTEGER_OPERATIONS),
                nodes_to_exclude=[
                    node.name for node in joined.graph.node if node.name in heads or (kept and _within(node, kept))
                ],
            )
        finally:
            logging.root.setLevel(level)
        return onnx.load(str(paths[1]))


def _heads(graph: onnx.GraphProto) -> set[str]:
    """The nodes behind the last convolution: an epsilon under a root does not survive eight bits."""
    makers = {output: node for node in graph.node for output in node.output}
    before: set[str] = set()
    waiting = [node for node in graph.node if node.op_type == "Conv"]
    while waiting:
        node = waiting.pop()
        if node.name not in before:
            before.add(node.name)
            waiting += [makers[name] for name in node.input if name in makers]
    return {node.name for node in graph.node} - before


def _within(node: onnx.NodeProto, prefixes: tuple[str, ...]) -> bool:
    return any(output.startswith(prefixes) for output in node.output)


class _Batches:
    """Calibration batches as onnxruntime's tools read them, one by one."""

    def __init__(self, name: str, images: Iterable[Floats]) -> None:
        self.name = name
        self.batches: Iterator[Floats] = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self.batches, None)
        return None if batch is None else {self.name: batch}

    def __iter__(self) -> "_Batches":
        return self

    def __next__(self) -> dict[str, Any]:
        batch = self.get_next()
        if batch is None:
            raise StopIteration
        return batch
