"""Nodes and weights of an ONNX graph that is written while a traced module runs, each of them once."""

import hashlib
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, fx

from branches.export.traced import overwrites

Kinds = Mapping[Any, Callable[..., None]]


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


class Writer(Nodes, fx.Interpreter):
    """Runs a traced module on an example, and writes what it runs.

    kinds: what writes a module, by its type, and a function or a method, by itself or its name.
    """

    def __init__(self, traced: fx.GraphModule, kinds: Kinds, *, input_name: str, output_name: str) -> None:
        fx.Interpreter.__init__(self, traced, garbage_collect_values=False)
        (last,) = (node.args[0] for node in traced.graph.nodes if node.op == "output")
        Nodes.__init__(self, last, output_name)
        self.input_name, self.kinds = input_name, kinds
        self.calls = [node.target for node in traced.graph.nodes if node.op == "call_module"]

    def run_node(self, n: fx.Node) -> Any:
        """The node's value, as it is run; written beside."""
        result = super().run_node(n)
        if n.op == "placeholder":
            self.names[n] = self.input_name
        elif n.op in ("output", "get_attr"):
            return result
        elif isinstance(result, Tensor):
            if result.dtype != torch.float32 or result.dim() < 2:
                raise Unwritten(f"{n.format_node()} is no map of float32")
            self.write(n)
        elif not self.is_fixed(n):
            raise Unwritten(f"{n.format_node()} depends on the batch")
        return result

    def write(self, node: fx.Node) -> None:
        """One operation of the module."""
        if overwrites(node, self.module) and len(node.all_input_nodes[0].users) > 1:
            raise Unwritten(f"{node.format_node()} overwrites what is read again")
        if node.op == "call_module":
            part = self.fetch_attr(str(node.target))
            write, arguments, named = self.kinds.get(type(part)), (part,), {}
        else:
            write = self.kinds.get(node.target if node.op == "call_function" else str(node.target))
            arguments, named = self.values(node.args), self.values(node.kwargs)
        if write is None:
            raise Unwritten(f"{node.format_node()} is not known")
        try:
            write(self, node, *arguments, **named)
        except TypeError as error:  # called in another way than is known
            raise Unwritten(f"{node.format_node()}: {error}") from error

    def values(self, arguments: Any) -> Any:
        """Arguments of a node: nodes that are tensors stay nodes, others become what they are."""

        def value(node: fx.Node) -> Any:
            return node if isinstance(self.env[node], Tensor) else self.env[node]

        return fx.node.map_arg(arguments, value)

    def is_fixed(self, node: fx.Node) -> bool:
        """Whether a value that is no tensor is the same for any batch: sizes of other axes than the first."""
        if node.target is getattr:
            sizes = all(user.target is operator.getitem and self.is_fixed(user) for user in node.users)
            return bool(node.args[1] == "ndim" or (node.args[1] == "shape" and sizes))
        if node.target is operator.getitem or node.target == "size":
            number: Any = node.args[1] if len(node.args) == 2 else None
            return bool(isinstance(number, int) and number > 0)
        return not any(isinstance(self.env[source], Tensor) for source in node.all_input_nodes)

    def input_of(self, node: fx.Node) -> str:
        """The name of an operation's one input."""
        (argument,) = node.all_input_nodes
        return self.names[argument]

    def shape(self, node: fx.Node) -> torch.Size:
        """The shape of a node's value on the example."""
        shape: torch.Size = self.env[node].shape
        return shape


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
