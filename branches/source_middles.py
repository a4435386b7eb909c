"""What lies between stem and head, as source: the lines of `__init__` and of `logits`, per search space."""

from collections.abc import Callable
from typing import NamedTuple, cast

from torch import Tensor, nn

from branches.branch import Branch, Cell, Node
from branches.source_parts import constructed, sequence_source
from search_spaces import MacroPlan, MicroPlan
from search_spaces.micro import FIRST_NODE

LONG = 90  # characters of a line's content, from which on a list takes several lines


class Middle(NamedTuple):
    """`constructor` and `weights` make the parts; `body` computes `maps` from `stem`; `summary` says what they are."""

    summary: str
    constructor: list[str]
    weights: dict[str, Tensor]
    body: list[str]


def macro_middle(branch: Branch) -> Middle:
    """A chain: node1, node2, ..."""
    graph = branch.plan
    assert isinstance(graph, MacroPlan)
    constructor, weights = _written({f"node{number}": part for number, part in enumerate(branch.parts, start=1)})
    names = ["stem", *(f"node{number}" for number in range(1, len(graph.nodes) + 1))]
    body = [
        f"node{number} = self.node{number}({' + '.join(names[one] for one in part.inputs)})"
        for number, part in enumerate(graph.nodes, start=1)
    ]
    total = " + ".join(names[one] for one in graph.outputs)
    body.append(f"maps = ({total}) / {len(graph.outputs)}" if len(graph.outputs) > 1 else f"maps = {total}")
    return Middle(f"{len(graph.nodes)} nodes of width {graph.width}", constructor, weights, body)


def micro_middle(branch: Branch) -> Middle:
    """Cells: cell1_node2, ..., cell1, cell2_node2, ...; a node's two operations end in `_a` and `_b`."""
    graph = branch.plan
    assert isinstance(graph, MicroPlan)
    parts: dict[str, nn.Module] = {}
    activations: dict[str, nn.Module] = {}
    body: list[str] = []
    outputs = {0: "stem"}
    for plan, cell in zip(graph.cells, cast("list[Cell]", list(branch.parts)), strict=True):
        name = f"cell{plan.number}"
        names = ["" if source is None else outputs[source] for source in plan.sources]
        body.append(f"# Cell {plan.number}, {plan.kind}, reads {' and '.join(filter(None, names))}.")
        if cell.halve is not None:
            parts[f"{name}_halve"] = cell.halve
            body.append(f"{name}_input = self.{name}_halve({names[0]})")
            names[0] = f"{name}_input"
        for number, (part, module) in enumerate(zip(plan.nodes, cast("list[Node]", list(cell.nodes)), strict=True)):
            node = f"{name}_node{number + FIRST_NODE}"
            parts |= {f"{node}_a": module.first, f"{node}_b": module.second}
            activations[part.activation] = module.activation
            total = " + ".join(f"self.{node}_{pair}({names[one]})" for pair, one in zip("ab", part.inputs, strict=True))
            body.append(f"{node} = self.{part.activation}({total})")
            names.append(node)
        ends = [names[number] for number in plan.loose]
        if cell.merge is not None:
            parts[f"{name}_merge"] = cell.merge
            body += _merged(name, ends)
        else:
            body.append(f"{name} = {ends[0]}")
        outputs[plan.number] = name
    constructor, weights = _written(parts)
    constructor += [f"self.{name} = {constructed(part)}" for name, part in activations.items()]
    summary = f"{len(graph.cells)} cells of {len(graph.cells[0].nodes)} nodes, width {graph.width}"
    return Middle(summary, constructor, weights, [*body, f"maps = {outputs[graph.cells[-1].number]}"])


MIDDLES: dict[str, Callable[[Branch], Middle]] = {"macro": macro_middle, "micro": micro_middle}


def _written(parts: dict[str, nn.Module]) -> tuple[list[str], dict[str, Tensor]]:
    constructor: list[str] = []
    weights: dict[str, Tensor] = {}
    for name, part in parts.items():
        lines, state = sequence_source(name, part)
        constructor += lines
        weights.update(state)
    return constructor, weights


def _merged(name: str, ends: list[str]) -> list[str]:
    line = f"{name} = self.{name}_merge(torch.cat([{', '.join(ends)}], dim=1))"
    if len(line) <= LONG:
        return [line]
    return ["ends = [", *(f"    {end}," for end in ends), "]", f"{name} = self.{name}_merge(torch.cat(ends, dim=1))"]
