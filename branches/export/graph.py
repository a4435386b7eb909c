"""ONNX graphs of traced modules, node by node: the plain modules and operations that branches and tails are made of.

torch's own exporter takes a second of processor time or two for a branch, to trace it three times, to decompose and to
translate it. What torch.fx traces here is some dozen kinds of operations, each of which is one or two nodes. They are
the nodes that torch's exporter ends with, a batch norm folded into the convolution before it included, so that the
scores are the same to the bit. A module with any other operation raises `Unwritten`, and is left to torch's exporter.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, fx, nn
from torch.nn import functional

from branches.export.nodes import Unwritten, Writer, array, axis, pair
from branches.layers import SettledNorm

OPSET, IR_VERSION = 20, 10  # those that torch's exporter writes
BATCH = "batch"
BATCH_DECAY = 0.9  # of a norm that is not trained: written as torch does, read by nobody


def written_graph(module: nn.Module, example: Tensor, *, input_name: str, output_name: str) -> onnx.ModelProto:
    """A module with one input and one output, in evaluation mode, as an ONNX model whose batch is of any length.

    `example` has a batch of two or more. Raises: Unwritten where an operation is not known here.
    """
    try:
        graph = Tracer().trace(module)
    except (TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError) as error:
        raise Unwritten(f"it cannot be traced ({error})") from error
    traced = fx.GraphModule(module, graph)
    writer = Writer(traced, {**MODULES, **FUNCTIONS}, input_name=input_name, output_name=output_name)
    with torch.no_grad():
        result = writer.run(example)
    if not isinstance(result, Tensor):
        raise Unwritten("it gives more than one tensor")
    sides = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *tensor.shape[1:]])
        for name, tensor in ((input_name, example), (output_name, result))
    ]
    written = helper.make_graph(writer.nodes, "main_graph", sides[:1], sides[1:], writer.initializers)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(written, opset_imports=opsets, ir_version=IR_VERSION, producer_name="graftnet")
    onnx.checker.check_model(model)
    return model


class Tracer(fx.Tracer):
    """Traces down to the modules that are known, and to torch's own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one operation of the graph."""
        return type(m) in MODULES or super().is_leaf_module(m, module_qualified_name)


def convolution(writer: Writer, node: fx.Node, part: nn.Conv2d) -> None:
    """A convolution; one that a norm alone reads is written with the norm, once for both."""
    if part.padding_mode != "zeros" or isinstance(part.padding, str):
        raise Unwritten(f"a convolution padded by {part.padding_mode} is not known")
    readers = [reader for reader in node.users if reader.target is not getattr]
    if len(readers) == 1 and is_norm(writer, readers[0]) and writer.calls.count(node.target) == 1:
        return
    bias = None if part.bias is None else array(part.bias)
    write_convolution(writer, node, node, part, array(part.weight), bias)


def write_convolution(
    writer: Writer, node: fx.Node, source: fx.Node, part: nn.Conv2d, weight: Any, bias: Any | None
) -> None:
    """A convolution of what `source` reads, with these weights, as the node's value."""
    names = [writer.input_of(source), writer.weight(f"{source.target}.weight", weight)]
    if bias is not None:
        names.append(writer.weight(f"{source.target}.bias", bias))
    assert not isinstance(part.padding, str)
    window = {"kernel_shape": list(part.kernel_size), "strides": list(part.stride), "dilations": list(part.dilation)}
    writer.emit(node, "Conv", names, **window, pads=[*part.padding, *part.padding], group=part.groups)


def is_norm(writer: Writer, node: fx.Node) -> bool:
    """Whether it is a batch norm of maps, which a convolution before it is written with."""
    if node.op == "call_module":
        return type(writer.fetch_attr(str(node.target))) is nn.BatchNorm2d
    return node.target is functional.batch_norm


def norm(writer: Writer, node: fx.Node, part: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """A batch norm with the statistics that it has."""
    (source,) = node.all_input_nodes
    statistics = (part.running_mean, part.running_var, part.weight, part.bias)
    write_norm(writer, node, source, str(node.target), *statistics, training=part.training, eps=part.eps)


def norm_function(
    writer: Writer,
    node: fx.Node,
    maps: fx.Node,
    running_mean: fx.Node,
    running_var: fx.Node,
    weight: fx.Node | None = None,
    bias: fx.Node | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> None:
    """`norm` as a function of its weights."""
    given = [None if each is None else writer.env[each] for each in (running_mean, running_var, weight, bias)]
    write_norm(writer, node, maps, node.name, *given, training=training, eps=eps)


def write_norm(
    writer: Writer,
    node: fx.Node,
    source: fx.Node,
    name: str,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    training: bool,
    eps: float,
) -> None:
    """A batch norm; folded into the convolution before it where it alone reads that."""
    if training or mean is None or variance is None:
        raise Unwritten("a norm without statistics is not known")
    gamma = np.ones(len(mean), np.float32) if weight is None else array(weight)
    beta = np.zeros(len(mean), np.float32) if bias is None else array(bias)
    if source not in writer.names:
        before = writer.fetch_attr(str(source.target))
        scale = gamma / np.sqrt(array(variance) + eps)
        kernel = array(before.weight) * scale.reshape(-1, *[1] * (before.weight.dim() - 1))
        shift = np.zeros_like(array(mean)) if before.bias is None else array(before.bias)
        write_convolution(writer, node, source, before, kernel, (shift - array(mean)) * scale + beta)
        return
    parts = {"weight": gamma, "bias": beta, "running_mean": array(mean), "running_var": array(variance)}
    names = [writer.weight(f"{name}.{part}", value) for part, value in parts.items()]
    writer.emit(node, "BatchNormalization", [writer.names[source], *names], epsilon=eps, momentum=BATCH_DECAY)


def linear(writer: Writer, node: fx.Node, part: nn.Linear) -> None:
    """x W^T + b."""
    names = [writer.input_of(node), writer.weight(f"{node.target}.weight", array(part.weight))]
    if part.bias is not None:
        names.append(writer.weight(f"{node.target}.bias", array(part.bias)))
    writer.emit(node, "Gemm", names, transB=1)


def window(
    writer: Writer, node: fx.Node, kind: str, size: Any, stride: Any, padding: Any, ceil_mode: bool, **more: Any
) -> None:
    """A pooling."""
    sides = {"kernel_shape": pair(size), "strides": pair(size if stride is None else stride)}
    pads = pair(padding)
    writer.emit(node, kind, [writer.input_of(node)], **sides, pads=[*pads, *pads], ceil_mode=int(ceil_mode), **more)


def largest(
    writer: Writer,
    node: fx.Node,
    _maps: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> None:
    """The largest of a window."""
    if return_indices:
        raise Unwritten("a maximum with its place is not known")
    window(writer, node, "MaxPool", kernel_size, stride, padding, ceil_mode, dilations=pair(dilation))


def average(
    writer: Writer,
    node: fx.Node,
    _maps: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> None:
    """The mean of a window."""
    if divisor_override is not None:
        raise Unwritten("an average with a divisor of its own is not known")
    window(
        writer, node, "AveragePool", kernel_size, stride, padding, ceil_mode, count_include_pad=int(count_include_pad)
    )


def average_module(writer: Writer, node: fx.Node, part: nn.AvgPool2d) -> None:
    """`average` as a module."""
    sides = (part.kernel_size, part.stride, part.padding)
    average(writer, node, None, *sides, part.ceil_mode, part.count_include_pad, part.divisor_override)


def largest_module(writer: Writer, node: fx.Node, part: nn.MaxPool2d) -> None:
    """`largest` as a module."""
    sides = (part.kernel_size, part.stride, part.padding, part.dilation)
    largest(writer, node, None, *sides, part.ceil_mode, part.return_indices)


def elementwise(kind: str, **attributes: Any) -> Callable[..., None]:
    """An operation of one input that is one node."""
    return lambda writer, node, *_, **__: writer.emit(node, kind, [writer.input_of(node)], **attributes)


def silu(writer: Writer, node: fx.Node, *_: Any, **__: Any) -> None:
    """x sigmoid(x)."""
    source = writer.input_of(node)
    writer.emit(node, "Mul", [source, writer.inner(node, "Sigmoid", [source])])


def relu6(writer: Writer, node: fx.Node, part: nn.ReLU6) -> None:
    """Between 0 and 6."""
    writer.emit(node, "Clip", [writer.input_of(node), writer.constant(0.0), writer.constant(6.0)])


def leaky(writer: Writer, node: fx.Node, part: nn.LeakyReLU) -> None:
    """Leaky ReLU."""
    writer.emit(node, "LeakyRelu", [writer.input_of(node)], alpha=float(part.negative_slope))


def gelu(writer: Writer, node: fx.Node, part: nn.GELU) -> None:
    """GELU."""
    writer.emit(node, "Gelu", [writer.input_of(node)], approximate=part.approximate)


def skipped(writer: Writer, node: fx.Node, *_: Any, **__: Any) -> None:
    """Nothing is done: the value is the one before."""
    if node is writer.last:
        writer.emit(node, "Identity", [writer.input_of(node)])
    else:
        writer.names[node] = writer.input_of(node)


def arithmetic(kind: str) -> Callable[..., None]:
    """An operation of two tensors, or of a tensor and a number."""

    def write(writer: Writer, node: fx.Node, left: Any, right: Any) -> None:
        if kind in ("Mul", "Div") and right == 1:
            skipped(writer, node)
            return
        names = [
            writer.names[side] if isinstance(side, fx.Node) else writer.constant(float(side)) for side in (left, right)
        ]
        writer.emit(node, kind, names)

    return write


def joined(writer: Writer, node: fx.Node, tensors: Sequence[fx.Node], dim: int = 0) -> None:
    """Tensors side by side."""
    writer.emit(node, "Concat", [writer.names[tensor] for tensor in tensors], axis=axis(dim))


def product(writer: Writer, node: fx.Node, left: fx.Node, right: fx.Node) -> None:
    """Products of matrices."""
    writer.emit(node, "MatMul", [writer.names[left], writer.names[right]])


def reduced(kind: str) -> Callable[..., None]:
    """A sum or mean over some axes."""

    def write(writer: Writer, node: fx.Node, _tensor: fx.Node, dim: Any, keepdim: bool = False) -> None:
        axes = [axis(dim)] if isinstance(dim, int) else [axis(each) for each in dim]
        writer.emit(node, kind, [writer.input_of(node), writer.constant(axes)], keepdims=int(keepdim))

    return write


def flattened(writer: Writer, node: fx.Node, _tensor: fx.Node, start_dim: int = 0, end_dim: int = -1) -> None:
    """All axes from one on as one."""
    if end_dim != -1:
        raise Unwritten("axes are joined up to the last one alone")
    kept = [0] * axis(start_dim)  # as they are
    writer.emit(node, "Reshape", [writer.input_of(node), writer.constant([*kept, -1])])


def transposed(writer: Writer, node: fx.Node, tensor: fx.Node, first: int, second: int) -> None:
    """Two axes changed."""
    order = list(range(len(writer.shape(tensor))))
    order[axis(first)], order[axis(second)] = second, first
    writer.emit(node, "Transpose", [writer.input_of(node)], perm=order)


def sliced(writer: Writer, node: fx.Node, tensor: fx.Node, index: Any) -> None:
    """Some of the channels."""
    whole = isinstance(index, tuple) and len(index) == 2 and index[0] == slice(None) and isinstance(index[1], slice)
    if not whole or index[1].step not in (None, 1):
        raise Unwritten("a part that is not some channels is not known")
    start, stop, _ = index[1].indices(writer.shape(tensor)[1])
    writer.emit(node, "Slice", [writer.input_of(node), *(writer.constant([each]) for each in (start, stop, 1))])


def squared(writer: Writer, node: fx.Node, _tensor: fx.Node) -> None:
    """x^2."""
    writer.emit(node, "Pow", [writer.input_of(node), writer.constant(2.0)])


def softmax(writer: Writer, node: fx.Node, _tensor: fx.Node, dim: int) -> None:
    """Probabilities."""
    writer.emit(node, "Softmax", [writer.input_of(node)], axis=axis(dim))


MODULES: Mapping[type[nn.Module], Callable[[Writer, fx.Node, Any], None]] = {
    nn.Conv2d: convolution,
    nn.BatchNorm1d: norm,
    SettledNorm: norm,
    nn.BatchNorm2d: norm,
    nn.Linear: linear,
    nn.AvgPool2d: average_module,
    nn.MaxPool2d: largest_module,
    nn.ReLU: elementwise("Relu"),
    nn.ReLU6: relu6,
    nn.SiLU: silu,
    nn.Hardswish: elementwise("HardSwish"),
    nn.LeakyReLU: leaky,
    nn.GELU: gelu,
    nn.Tanh: elementwise("Tanh"),
    nn.Sigmoid: elementwise("Sigmoid"),
    nn.Identity: skipped,
    nn.Dropout: skipped,
}
# By the function, or by the method's name.
FUNCTIONS: Mapping[Any, Callable[..., None]] = {
    operator.add: arithmetic("Add"),
    operator.iadd: arithmetic("Add"),
    operator.sub: arithmetic("Sub"),
    operator.mul: arithmetic("Mul"),
    operator.truediv: arithmetic("Div"),
    operator.getitem: sliced,
    torch.cat: joined,
    torch.bmm: product,
    functional.batch_norm: norm_function,
    functional.relu: elementwise("Relu"),
    functional.max_pool2d: largest,
    functional.avg_pool2d: average,
    "contiguous": skipped,
    "mean": reduced("ReduceMean"),
    "sum": reduced("ReduceSum"),
    "flatten": flattened,
    "transpose": transposed,
    "abs": elementwise("Abs"),
    "sqrt": elementwise("Sqrt"),
    "square": squared,
    "softmax": softmax,
}
