"""The shared weights of the macro and the micro space, and an architecture's path through them.

As in the authors' code of Efficient Neural Architecture Search via Parameter Sharing (Pham et al., 2018),
arXiv:1802.03268, a cell's 1x1 convolution has a block of weights per node, of which a path takes those of its loose
ends. Different from it: an operation's weights do not depend on which input it reads.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from branches.branch import Step, follow, stride_of
from branches.layers import activation, node, normed, projection
from nas.supernet.shared_weights import Part, SharedWeights, corner, norms, shared, view, widths_of
from search_spaces.architecture import Architecture
from search_spaces.decisions import Space
from search_spaces.macro import plan
from search_spaces.micro import FIRST_NODE, CellPlan, micro_plan

TWICE = 2  # a node of a cell may use one operation for both its inputs


class MacroWeights(SharedWeights):
    """The stem, each operation of each node and a linear layer per pooling, as wide as the widest choice.

    The weights are not initialised here. The activation has no weights, so all share those of their operation.
    """

    def __init__(self, space: Space, channels: int, values: int, dropout: float) -> None:
        widths = widths_of(space)
        nodes = nn.ModuleList(
            nn.ModuleDict(
                {str(name): shared(node(str(name), "relu", max(widths)), widths) for name in decision.choices}
            )
            for decision in space.decisions
            if decision.kind == "operation"
        )
        super().__init__(space, channels, values, dropout, name="nodes", middle=nodes)

    def forward(self, features: Tensor, architecture: Architecture) -> Tensor:
        """Features (N, C, H, W) -> logits (N, values) of a legal architecture."""
        first, *nodes, head = (part.fill() for part in self.parts(architecture).values())
        return follow(plan(architecture), first, nodes, head, features)

    def parts(self, architecture: Architecture) -> dict[str, Part]:
        """The path's parts by their name in a branch, in the order stem, nodes.0, ..., head."""
        graph = plan(architecture)
        width = graph.width
        parts = {"stem": self.stem_view(width)}
        for index, (operation, chosen, _) in enumerate(graph.nodes):
            parts[f"nodes.{index}"] = self._node_view(index, operation, chosen, width)
        parts["head"] = self.head_view(graph.pooling, graph.shortcut, width)
        return parts

    def _node_view(self, index: int, operation: str, activation: str, width: int) -> Part:
        def make() -> Part:
            weights = self.get_submodule(f"nodes.{index}.{operation}")
            return view(weights, node(operation, activation, width), width)

        return self.made_once((index, operation, activation, width), make)


class NodePath(NamedTuple):
    """A node of a path, ready to run; the same names as in `branches.branch.Node`."""

    first: Step
    second: Step
    activation: Step


class CellPath(NamedTuple):
    """A cell of a path, ready to run; the same names as in `branches.branch.Cell`."""

    halve: Step | None
    nodes: Sequence[NodePath]
    merge: Step | None


class SharedCell(nn.Module):
    """The weights of one place in the stack: per node each operation (twice), per node a block of the 1x1 convolution.

    `halve` only behind a reduction cell.
    """

    def __init__(self, operations: Sequence[Sequence[str]], widths: Sequence[int], *, halved: bool) -> None:
        super().__init__()
        widest = max(widths)
        self.halve = shared(projection(widest, widest, stride=2), widths) if halved else None
        self.nodes = nn.ModuleList(
            nn.ModuleDict(
                {name: nn.ModuleList(shared(normed(name, widest), widths) for _ in range(TWICE)) for name in names}
            )
            for names in operations
        )
        self.merge = nn.ModuleList(_block(widest) for _ in operations) if len(operations) > 1 else None
        self.norm = norms(widths) if len(operations) > 1 else None  # behind the merging convolution


class MicroWeights(SharedWeights):
    """The stem, each cell of the stack and a linear layer per pooling, as wide as the widest choice.

    The weights are not initialised here. Neither activations nor strides have weights, and the order of a node's two
    pairs does not count: an operation has a second set of weights only for the node that uses it twice.
    """

    def __init__(self, space: Space, channels: int, values: int, dropout: float) -> None:
        settings = dict(space.settings)
        reductions = cast(tuple[int, ...], settings["reductions"])
        depths = cast(tuple[int, ...], settings.get("depths", (settings["cells"],)))
        names = cast(tuple[str, ...], settings["operations"])
        operations = [names] * cast(int, settings["nodes"])
        cells = nn.ModuleList(
            SharedCell(operations, widths_of(space), halved=number > 1 and number - 1 in reductions)
            for number in range(1, max(depths) + 1)
        )
        super().__init__(space, channels, values, dropout, name="cells", middle=cells)
        self._activations = {
            str(name): activation(str(name)) for name in cast(tuple[str, ...], settings["activations"])
        }

    def forward(self, features: Tensor, architecture: Architecture) -> Tensor:
        """Features (N, C, H, W) -> logits (N, values) of a legal architecture."""
        graph = micro_plan(architecture)
        cells = [self._path(cell, graph.width) for cell in graph.cells]
        head = self.head_view(graph.pooling, graph.shortcut, graph.width).fill()
        return follow(graph, self.stem_view(graph.width).fill(), cells, head, features)

    def parts(self, architecture: Architecture) -> dict[str, Part]:
        """The path's parts by their name in a branch, in the order stem, cells.0. ..., head."""
        graph = micro_plan(architecture)
        parts = {"stem": self.stem_view(graph.width)}
        for index, cell in enumerate(graph.cells):
            if cell.halved:
                parts[f"cells.{index}.halve"] = self._halve_view(cell.number, graph.width)
            for position in range(len(cell.nodes)):
                first, second = self._node_views(cell, position, graph.width)
                parts |= {
                    f"cells.{index}.nodes.{position}.first": first,
                    f"cells.{index}.nodes.{position}.second": second,
                }
            if len(cell.loose) > 1:
                parts[f"cells.{index}.merge"] = self._merge_view(cell.number, cell.loose, graph.width)
        parts["head"] = self.head_view(graph.pooling, graph.shortcut, graph.width)
        return parts

    def _path(self, cell: CellPlan, width: int) -> CellPath:
        nodes = []
        for position, pair in enumerate(cell.nodes):
            first, second = self._node_views(cell, position, width)
            nodes.append(NodePath(first.fill(), second.fill(), self._activations[pair.activation]))
        halve = self._halve_view(cell.number, width).fill() if cell.halved else None
        merge = self._merge_view(cell.number, cell.loose, width).fill() if len(cell.loose) > 1 else None
        return CellPath(halve, nodes, merge)

    def _node_views(self, cell: CellPlan, position: int, width: int) -> tuple[Part, Part]:
        (first, second), (left, right), _ = cell.nodes[position]
        at = (cell.number, position)
        return (
            self._operation_view(*at, first, 0, stride_of(cell.reduction, left), width),
            self._operation_view(*at, second, int(first == second), stride_of(cell.reduction, right), width),
        )

    def _operation_view(self, number: int, position: int, name: str, use: int, stride: int, width: int) -> Part:
        def make() -> Part:
            weights = self._cell(number).get_submodule(f"nodes.{position}.{name}.{use}")
            return view(weights, normed(name, width, stride), width)

        return self.made_once((number, position, name, use, stride, width), make)

    def _halve_view(self, number: int, width: int) -> Part:
        def make() -> Part:
            return view(self._cell(number).get_submodule("halve"), projection(width, width, stride=2), width)

        return self.made_once((number, "halve", width), make)

    def _merge_view(self, number: int, loose: tuple[int, ...], width: int) -> Part:
        def make() -> Part:
            cell = self._cell(number)
            blocks = [cell.get_submodule(f"merge.{node - FIRST_NODE}") for node in loose]
            made = {"convolution.weight": partial(_merge_weight, blocks, width)}
            return view(cell, projection(len(loose) * width, width), width, made)

        return self.made_once((number, "merge", loose, width), make)

    def _cell(self, number: int) -> nn.Module:
        return cast(nn.ModuleList, self.cells)[number - 1]


def _block(widest: int) -> nn.Conv2d:
    block: nn.Conv2d = skip_init(nn.Conv2d, widest, widest, 1, bias=False)  # type: ignore[no-untyped-call]
    return block


def _merge_weight(blocks: Sequence[nn.Module], width: int) -> Tensor:
    """The blocks' first channels side by side: (width, len(blocks) * width, 1, 1)."""
    return torch.cat([corner(cast(Tensor, block.weight), (width, width, 1, 1)) for block in blocks], dim=1)
