"""What the branches of a joined graph do to the same features, done once: horizontal fusion.

Convolutions of different branches that read one map with the same kernel, stride, padding and dilation become one
convolution, their filters stacked, whose output is split again; where each is followed by the same activation, so does
that. Most of a small branch's work is the 1x1 convolution of its stem, a matrix product with few columns: one product
with all of them reads the map once. Whatever else is computed twice from the same inputs (the averages of the trunk's
map that heads with a shortcut take) is computed once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

BRANCH = "branch/"
ACTIVATIONS = ("Relu", "Sigmoid", "HardSwish", "LeakyRelu", "Tanh", "Gelu")


def fused(joined: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, int]]:
    """A graph with the same inputs and outputs, and what became of the nodes: convolutions, into how many, shared.

    Stacking filters sums in another order where the library blocks its products, so scores may differ by rounding.
    """
    model = onnx.ModelProto()
    model.CopyFrom(joined)
    shared = _share_constants(model.graph) + _share_nodes(model.graph)
    stacks = [stack for stack in _siblings(model.graph) if len(stack) > 1]
    for number, stack in enumerate(stacks):
        _stack(model.graph, stack, f"fused/{number}/")
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    return model, {"convolutions": sum(map(len, stacks)), "became": len(stacks), "shared": shared}


def _share_constants(graph: onnx.GraphProto) -> int:
    """Constants of equal type, shape and content under one name; returns how many were left out."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    names = {}
    for constant in graph.initializer:
        array = numpy_helper.to_array(constant)
        names[constant.name] = first.setdefault((constant.data_type, array.shape, array.tobytes()), constant.name)
    kept = [constant for constant in graph.initializer if names[constant.name] == constant.name]
    left_out = len(graph.initializer) - len(kept)
    _replace(graph.initializer, kept)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    return left_out


def _share_nodes(graph: onnx.GraphProto) -> int:
    """One node for those that compute the same from the same; returns how many were left out."""
    outputs = {output.name for output in graph.output}
    first: dict[tuple[object, ...], onnx.NodeProto] = {}
    names: dict[str, str] = {}
    kept = []
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        twin = first.setdefault((node.op_type, node.domain, tuple(node.input), _settings(node)), node)
        if twin is node or outputs & {*node.output}:
            kept.append(node)
        else:
            names |= zip(node.output, twin.output, strict=True)
    left_out = len(graph.node) - len(kept)
    _replace(graph.node, kept)
    return left_out


def _siblings(graph: onnx.GraphProto) -> Iterable[list[onnx.NodeProto]]:
    """Convolutions of branches, not grouped, that read the same value in the same way, in the graph's order."""
    constants = {constant.name: constant.dims for constant in graph.initializer}
    found: dict[tuple[object, ...], list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        ours = node.op_type == "Conv" and node.output[0].startswith(BRANCH)
        if ours and all(name in constants for name in node.input[1:]) and _whole(node):
            found[(node.input[0], *constants[node.input[1]][1:], _settings(node))].append(node)
    return found.values()


def _stack(graph: onnx.GraphProto, stack: list[onnx.NodeProto], prefix: str) -> None:
    """Put one convolution, with the activation behind it where all have the same, and a split in place of several."""
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    weights = [constants[node.input[1]] for node in stack]
    biases = [
        constants[node.input[2]] if len(node.input) > 2 and node.input[2] else np.zeros(len(weight), weight.dtype)
        for node, weight in zip(stack, weights, strict=True)
    ]
    sizes = np.array([len(weight) for weight in weights], dtype=np.int64)
    named = {"weight": np.concatenate(weights), "bias": np.concatenate(biases), "sizes": sizes}
    graph.initializer.extend(numpy_helper.from_array(array, prefix + name) for name, array in named.items())
    convolution = helper.make_node(
        "Conv", [stack[0].input[0], f"{prefix}weight", f"{prefix}bias"], [f"{prefix}maps"], name=f"{prefix}Conv"
    )
    convolution.attribute.extend(stack[0].attribute)
    new, gone, ends = [convolution], list(stack), [node.output[0] for node in stack]
    activations = list(_activations(graph, stack))
    if len({(node.op_type, _settings(node)) for node in activations}) == 1 and len(activations) == len(stack):
        activation = helper.make_node(
            activations[0].op_type, [f"{prefix}maps"], [f"{prefix}active"], name=f"{prefix}{activations[0].op_type}"
        )
        activation.attribute.extend(activations[0].attribute)
        new.append(activation)
        gone += activations
        ends = [node.output[0] for node in activations]
    new.append(helper.make_node("Split", [new[-1].output[0], f"{prefix}sizes"], ends, name=f"{prefix}Split", axis=1))
    removed = {node.output[0] for node in gone}
    nodes = [node for node in graph.node if not removed & {*node.output}]
    place = next((number + 1 for number, node in enumerate(nodes) if stack[0].input[0] in node.output), 0)
    _replace(graph.node, [*nodes[:place], *new, *nodes[place:]])
    read = {name for node in graph.node for name in node.input}
    _replace(graph.initializer, [constant for constant in graph.initializer if constant.name in read])


def _activations(graph: onnx.GraphProto, stack: list[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Behind each convolution, the activation that is all that reads it, where there is one."""
    for node in stack:
        readers = [reader for reader in graph.node if node.output[0] in reader.input]
        if len(readers) == 1 and readers[0].op_type in ACTIVATIONS and len(readers[0].input) == 1:
            yield readers[0]


def _whole(node: onnx.NodeProto) -> bool:
    return all(attribute.i == 1 for attribute in node.attribute if attribute.name == "group")


def _settings(node: onnx.NodeProto) -> bytes:
    return b"|".join(sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute))


def _replace(field: Any, values: Sequence[Any]) -> None:
    """Other values in a repeated field; copied first, for they lie in it."""
    copies = [type(value)() for value in values]
    for copy, value in zip(copies, values, strict=True):
        copy.CopyFrom(value)
    del field[:]
    field.extend(copies)
