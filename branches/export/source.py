"""Write a branch as plain torch source, readable and without this toolkit, with its weights renamed to match.

Modules are written as the lines that construct them; what lies between stem and head is written per search space.
"""

import json
import operator
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

from torch import Tensor, nn

from branches.branch import Branch, Cell, Node
from branches.errors import BranchError
from branches.layers import POOLINGS
from branches.saved import BranchRecord, plain_state
from search_spaces import MacroPlan, MicroPlan
from search_spaces.micro import FIRST_NODE

USUAL_EPSILON = 1e-5  # of a norm
LONG = 90  # characters of a line's content, from which on a list takes several lines

TEMPLATE = '''\
"""Branch {attribute}: features of the trunk in, one probability per value out.

Features: float32 {batch_shape}, the trunk's map after {depth} blocks. Scores: {scores_shape}.
Needs torch and safetensors only. Written by GraftNet{origin}.

    branch = load()
    scores = branch(features)
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn{functional}

ATTRIBUTE = {attribute}
VALUES = {values}
THRESHOLD = {threshold}  # {threshold_meaning}
FEATURE_SHAPE = {shape}
FREEZE_DEPTH = {depth}
TRUNK_FINGERPRINT = {fingerprint}


class Branch(nn.Module):
    """{summary}"""

    def __init__(self) -> None:
        super().__init__()
{constructor}

    def logits(self, features: Tensor) -> Tensor:
        """Features (N, {channels}, H, W) -> logits (N, {count})."""
{body}

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, {channels}, H, W) -> probabilities (N, {count})."""
        return self.logits(features).softmax(1)


def load(folder: str | Path = Path(__file__).parent) -> Branch:
    """The branch with its weights, ready to predict."""
    branch = Branch()
    branch.load_state_dict(load_file(Path(folder) / "weights.safetensors"))
    return branch.eval()


if __name__ == "__main__":
    print(load()(torch.zeros(1, *FEATURE_SHAPE)))
'''


def branch_source(branch: Branch, record: BranchRecord) -> tuple[str, dict[str, Tensor]]:
    """(text of branch.py, the weights under the names that it uses). Raises: BranchError for a part it cannot write."""
    assert record.architecture is not None
    middle = MIDDLES[record.architecture.space](branch)
    constructor, weights = sequence_source("stem", branch.stem)
    constructor += middle.constructor
    weights |= middle.weights
    if branch.head.shortcut_norm is not None:
        constructor.append(f"self.shortcut_norm = nn.BatchNorm1d({branch.feature_shape[0]}, affine=False)")
        weights.update(named_state("shortcut_norm", branch.head.shortcut_norm))
    linear = branch.head.linear
    constructor.append(f"self.linear = nn.Linear({linear.in_features}, {linear.out_features})")
    weights.update(named_state("linear", linear))
    summary = f"{middle.summary}, {branch.plan.pooling} pooling."
    context = branch.plan.context
    # The last channels are averages of earlier depths, which the shortcut alone reads.
    seen = f"features[:, :{branch.feature_shape[0] - context}]" if context else "features"
    body = [f"stem = self.stem({seen})", *middle.body, *_head(branch)]
    return text_of(record, summary, constructor, body), weights


def text_of(
    record: BranchRecord, summary: str, constructor: list[str], body: list[str], *, functional: bool = False
) -> str:
    """The text of branch.py from the lines of `__init__` and of `logits`; `functional`: they use `functional`.

    Every value of the record is written as the literal of its own type: a record may be somebody else's. The lines come
    from modules that this toolkit built, so that they hold its names and numbers alone.
    """
    shape = tuple(map(_whole, record.feature_shape))
    return TEMPLATE.format(
        attribute=_quoted(record.attribute),
        values=f"({', '.join(_quoted(value) for value in record.values)})",
        threshold=_number(record.threshold),
        threshold_meaning=_threshold_meaning(record),
        origin=f" from architecture {record.architecture.identity}" if record.architecture else "",
        functional="\nfrom torch.nn import functional" if functional else "",
        shape=shape,
        batch_shape=f"(N, {', '.join(map(str, shape))})",
        scores_shape=f"float32 (N, {len(record.values)})",
        depth=_whole(record.freeze_depth),
        fingerprint=_quoted(record.fingerprint),
        channels=shape[0],
        count=len(record.values),
        summary=summary,
        constructor=_indented(constructor),
        body=_indented(body),
    )


def _head(branch: Branch) -> list[str]:
    graph, lines = branch.plan, [*POOLINGS[branch.plan.pooling].source]
    if graph.shortcut:
        lines.append("shortcut = self.shortcut_norm(features.mean((2, 3)))")
        lines.append(f"pooled = torch.cat([pooled, shortcut * {branch.head.shortcut_scale!r}], dim=1)")
    return [*lines, "return self.linear(pooled)"]


def _threshold_meaning(record: BranchRecord) -> str:
    if record.threshold is None:
        return "the value with the highest score is predicted"
    return f"{_quoted(record.values[1])} is predicted when its score is at least this"


def _quoted(text: str) -> str:
    """A Python literal with double quotes: JSON's is one, when it keeps what is not ASCII."""
    return json.dumps(str(text), ensure_ascii=False)


def _number(value: float | None) -> str:
    return "None" if value is None else repr(float(value))


def _whole(value: int) -> int:
    """A whole number as such: text that only looks like one is refused, with a TypeError."""
    return operator.index(value)


def _indented(lines: list[str]) -> str:
    return "\n".join(f"        {line}" for line in lines)


def _convolution(part: nn.Conv2d) -> str:
    if part.padding_mode != "zeros" or isinstance(part.padding, str):
        raise BranchError(f"a convolution padded by {part.padding_mode} cannot be exported as source")
    sizes = [str(part.in_channels), str(part.out_channels), _side(part.kernel_size)]
    for name, sides, usual in (
        ("stride", part.stride, 1),
        ("padding", part.padding, 0),
        ("dilation", part.dilation, 1),
    ):
        if set(sides) != {usual}:
            sizes.append(f"{name}={_side(sides)}")
    if part.groups > 1:
        sizes.append(f"groups={part.groups}")
    return f"nn.Conv2d({', '.join(sizes)}, bias={part.bias is not None})"


def _side(sides: tuple[int, ...]) -> str:
    """One number for a square, else both."""
    return str(sides[0]) if len(set(sides)) == 1 else str(tuple(sides))


def _norm(part: nn.BatchNorm2d) -> str:
    extra = "" if part.eps == USUAL_EPSILON else f", eps={part.eps}"
    return f"nn.BatchNorm2d({part.num_features}{extra}{'' if part.affine else ', affine=False'})"


def _average(part: nn.AvgPool2d) -> str:
    if part.divisor_override is not None:
        raise BranchError("an average with a divisor of its own cannot be exported as source: export it as ONNX")
    sizes = f"{part.kernel_size}, stride={part.stride}, padding={part.padding}"
    ceiling = ", ceil_mode=True" if part.ceil_mode else ""
    return f"nn.AvgPool2d({sizes}{ceiling}, count_include_pad={part.count_include_pad})"


def _largest(part: nn.MaxPool2d) -> str:
    if part.dilation not in (1, (1, 1)):
        raise BranchError("a dilated maximum cannot be exported as source: export it as ONNX")
    ceiling = ", ceil_mode=True" if part.ceil_mode else ""
    return f"nn.MaxPool2d({part.kernel_size}, stride={part.stride}, padding={part.padding}{ceiling})"


# How each plain module of a branch is written down; what is not listed here cannot be exported as source.
CONSTRUCTORS: dict[type[nn.Module], Callable[..., str]] = {
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: _norm,
    nn.AvgPool2d: _average,
    nn.MaxPool2d: _largest,
    nn.ReLU: lambda part: "nn.ReLU()",
    nn.SiLU: lambda part: "nn.SiLU()",
    nn.Hardswish: lambda part: "nn.Hardswish()",
    nn.LeakyReLU: lambda part: f"nn.LeakyReLU({part.negative_slope})",
    nn.GELU: lambda part: "nn.GELU()",
    nn.Tanh: lambda part: "nn.Tanh()",
    nn.Sigmoid: lambda part: "nn.Sigmoid()",
    nn.Hardsigmoid: lambda part: "nn.Hardsigmoid()",
    nn.ReLU6: lambda part: "nn.ReLU6()",
}


def constructed(part: nn.Module) -> str:
    """The expression that makes the module. Raises: BranchError for one that cannot be written."""
    if type(part) not in CONSTRUCTORS:
        raise BranchError(f"a {type(part).__name__} cannot be exported as source: export the branch as ONNX")
    return CONSTRUCTORS[type(part)](part)


def sequence_source(name: str, sequence: nn.Module) -> tuple[list[str], dict[str, Tensor]]:
    """(constructor lines, weights under their new names) of a chain of plain modules; identities are left out."""
    lines, weights = [f"self.{name} = nn.Sequential("], {}
    for number, part in enumerate(_leaves(sequence)):
        lines.append(f"    {constructed(part)},")
        weights.update(named_state(f"{name}.{number}", part))
    return [*lines, ")"], weights


def named_state(name: str, module: nn.Module) -> dict[str, Tensor]:
    """A module's plain state, each name behind the module's own."""
    return {f"{name}.{key}": value for key, value in plain_state(module).items()}


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Sequential):
        for part in module:
            yield from _leaves(part)
    elif not isinstance(module, nn.Identity):
        yield module


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
        f"node{number} = self.node{number}({' + '.join(names[source] for source in part.inputs)})"
        for number, part in enumerate(graph.nodes, start=1)
    ]
    total = " + ".join(names[source] for source in graph.outputs)
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
            total = " + ".join(
                f"self.{node}_{pair}({names[source]})" for pair, source in zip("ab", part.inputs, strict=True)
            )
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
