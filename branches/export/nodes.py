"""Nodes and weights of an ONNX graph that is being written, each there once, whoever asks for it."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, fx


class Unwritten(Exception):
    """A module has an operation that is not written here."""


class Nodes:
    """`nodes` and `initializers` of a graph, and the name that each traced value has in it.

    last: what the graph gives, under the name `output_name`.
    """

    def __init__(self, last: Any, output_name: str) -> None:
        self.last, self.output_name = last, output_name
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.names: dict[fx.Node, str] = {}
        self.known: dict[bytes, str] = {}  # nodes and weights that are written -> under which name
        self.taken: set[str] = set()  # by weights

    def emit(self, node: fx.Node, kind: str, inputs: Sequence[str], **attributes: Any) -> None:
        """The last node of an operation: what it gives has the operation's name."""
        name = self.output_name if node is self.last else node.name
        self.names[node] = self.written(name, kind, inputs, attributes)

    def inner(self, node: fx.Node, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A node before the last one of an operation, and the name of what it gives."""
        return self.written(f"{node.name}.{kind.lower()}", kind, inputs, attributes)

    def written(self, name: str, kind: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> str:
        """Write a node; one that does the same to the same is there once."""
        node = helper.make_node(kind, inputs, [], **attributes)
        before = self.known.setdefault(digest(node), name)
        if before != name and name != self.output_name:
            return before
        node.name = f"node_{name}"
        node.output.append(name)
        self.nodes.append(node)
        return name

    def constant(self, value: float | Sequence[int]) -> str:
        """The name of a number (float32) or of whole numbers (int64), written once."""
        array = np.array(value, dtype=np.float32 if isinstance(value, float) else np.int64)
        return self.weight(f"value.{array.dtype.name}.{'_'.join(map(str, np.atleast_1d(array).tolist()))}", array)

    def weight(self, name: str, array: np.ndarray[Any, Any]) -> str:
        """The name of an initializer; one that is there already under another name is not written again."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(array))
        before = self.known.setdefault(digest(tensor), name)
        if before == name and name not in self.taken:
            tensor.name = name
            self.initializers.append(tensor)
            self.taken.add(name)
        return before


def digest(message: onnx.NodeProto | TensorProto) -> bytes:
    """What a node or a weight is, but for its name."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).digest()


def array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """A weight as an array."""
    return tensor.detach().cpu().contiguous().numpy()


def pair(sides: Any) -> list[int]:
    """Both sides of a window."""
    return [int(sides)] * 2 if isinstance(sides, int) else [int(side) for side in sides]


def axis(number: Any) -> int:
    """An axis that is not the batch's, counted from the front."""
    if not isinstance(number, int) or number < 1:
        raise Unwritten(f"an operation along axis {number} is not known")
    return number
