"""Costs of an architecture without building its branch: by its parts, each of which is counted once.

A sampler that respects limits asks for the costs of thousands of architectures; they are made of a few dozen different
parts. Spaces that `PARTS` does not list are counted as one part, the whole branch: right, but slower.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from branches.branch import Branch, FeatureShape, map_channels, stride_of, total_of
from branches.costs.module import Workload, macs, parameters, total, workload
from branches.layers import Head, activation, node, normed, projection, stem
from search_spaces.architecture import Architecture
from search_spaces.macro import plan
from search_spaces.micro import CellPlan, micro_plan


class Costs(NamedTuple):
    """Trainable weights, and multiply-accumulates per image."""

    parameters: int
    macs: int


class Part(NamedTuple):
    """A piece of a branch: `build(*arguments)` is a module that takes maps of these shapes (C, H, W)."""

    build: Callable[..., nn.Module]
    arguments: tuple[Any, ...]
    inputs: tuple[FeatureShape, ...]


class Sum(nn.Module):
    """The sum of maps of one shape."""

    def forward(self, *maps: Tensor) -> Tensor:
        """n maps (N, C, H, W) -> their sum."""
        return total_of(maps)


class Join(nn.Module):
    """Maps of one size, channel after channel."""

    def forward(self, *maps: Tensor) -> Tensor:
        """n maps (N, C, H, W) -> (N, n * C, H, W)."""
        return torch.cat(maps, 1)


def branch_costs(architecture: Architecture, shape: FeatureShape, values: int) -> Costs:
    """Parameters and MACs of the branch for features of `shape`; the architecture must be legal."""
    counted = [part_costs(part) for part in parts(architecture, shape, values)]
    return Costs(sum(costs.parameters for costs in counted), sum(costs.macs for costs in counted))


def branch_workload(architecture: Architecture, shape: FeatureShape, values: int) -> Workload:
    """The tensor operations of the branch on one image in evaluation mode, by kind."""
    return total([part_workload(part) for part in parts(architecture, shape, values)])


def parts(architecture: Architecture, shape: FeatureShape, values: int) -> list[Part]:
    """The pieces whose costs add up to those of the branch."""
    if architecture.space in PARTS:
        return PARTS[architecture.space](architecture, shape, values)
    return [Part(Branch, (architecture, shape, values), (shape,))]


def macro_parts(architecture: Architecture, shape: FeatureShape, values: int) -> list[Part]:
    """Stem, nodes, head, and the sums between them."""
    graph = plan(architecture)
    channels, width, map_shape = shape[0], graph.width, (graph.width, *shape[1:])
    own = map_channels(graph, channels)
    pieces = [Part(stem, (own, width), ((own, *shape[1:]),))]
    for part in graph.nodes:
        pieces.append(Part(node, (part.operation, part.activation, width), (map_shape,)))
    for read in (*(part.inputs for part in graph.nodes), graph.outputs):
        if len(read) > 1:
            pieces.append(Part(Sum, (), (map_shape,) * len(read)))
    pieces.append(Part(_head, (graph.pooling, width, channels, values, graph.shortcut), (map_shape, shape)))
    return pieces


def micro_parts(architecture: Architecture, shape: FeatureShape, values: int) -> list[Part]:
    """Stem, the operations and sums of every cell, what halves and merges maps, head."""
    graph = micro_plan(architecture)
    channels, width = shape[0], graph.width
    own = map_channels(graph, channels)
    pieces = [Part(stem, (own, width), ((own, *shape[1:]),))]
    outputs: dict[int | None, FeatureShape] = {0: (width, *shape[1:])}
    for cell in graph.cells:
        of_cell, outputs[cell.number] = _cell_parts(cell, outputs, width)
        pieces += of_cell
    last = outputs[graph.cells[-1].number]
    return [*pieces, Part(_head, (graph.pooling, width, channels, values, graph.shortcut), (last, shape))]


def _head(pooling: str, width: int, channels: int, values: int, shortcut: bool) -> nn.Module:
    return Head(pooling, width, channels, values, shortcut=shortcut)


def _cell_parts(
    cell: CellPlan, outputs: Mapping[int | None, FeatureShape], width: int
) -> tuple[list[Part], FeatureShape]:
    """The pieces of a cell, and the shape of its output."""
    before, previous = cell.sources
    pieces = [Part(projection, (width, width, 2), (outputs[before],))] if cell.halved else []
    read = outputs[before if previous is None else previous]
    inner = _halved(read) if previous is None and cell.halved else read
    given = _halved(inner) if cell.reduction else inner
    for node_plan in cell.nodes:
        for operation, source in zip(node_plan.operations, node_plan.inputs, strict=True):
            stride = stride_of(cell.reduction, source)
            pieces.append(Part(normed, (operation, width, stride), (inner if stride > 1 else given,)))
        pieces += [Part(Sum, (), (given, given)), Part(activation, (node_plan.activation,), (given,))]
    if len(cell.loose) > 1:
        pieces.append(Part(Join, (), (given,) * len(cell.loose)))
        joined = (len(cell.loose) * width, *given[1:])
        pieces.append(Part(projection, (len(cell.loose) * width, width), (joined,)))
    return pieces, given


def _halved(shape: FeatureShape) -> FeatureShape:
    channels, height, width = shape
    return channels, (height + 1) // 2, (width + 1) // 2


PARTS: dict[str, Callable[[Architecture, FeatureShape, int], list[Part]]] = {
    "macro": macro_parts,
    "micro": micro_parts,
}


@lru_cache(maxsize=4096)
def part_costs(part: Part) -> Costs:
    """What one part costs."""
    module = part.build(*part.arguments)
    return Costs(parameters(module), macs(module, *part.inputs))


@lru_cache(maxsize=4096)
def part_workload(part: Part) -> Workload:
    """The tensor operations of one part on one image in evaluation mode, by kind."""
    maps = [torch.zeros(1, *shape).contiguous(memory_format=torch.channels_last) for shape in part.inputs]
    return workload(part.build(*part.arguments).eval(), maps)
