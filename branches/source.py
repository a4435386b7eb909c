"""A searched branch as plain torch source, readable and without this toolkit, with its weights renamed to match."""

import json
from collections.abc import Callable, Iterator
from typing import cast

from torch import Tensor, nn

from branches.branch import Branch
from branches.errors import BranchError
from branches.heads import EPSILON
from branches.records import BranchRecord, plain_state


def _convolution(part: nn.Conv2d) -> str:
    sizes = [str(part.in_channels), str(part.out_channels), str(part.kernel_size[0])]
    if part.padding[0]:
        sizes.append(f"padding={cast(int, part.padding[0])}")
    if part.groups > 1:
        sizes.append(f"groups={part.groups}")
    return f"nn.Conv2d({', '.join(sizes)}, bias={part.bias is not None})"


def _average(part: nn.AvgPool2d) -> str:
    return f"nn.AvgPool2d({part.kernel_size}, stride={part.stride}, padding={part.padding}, count_include_pad=False)"


# How each plain module of a branch is written down; what is not listed here cannot be exported as source.
CONSTRUCTORS: dict[type[nn.Module], Callable[..., str]] = {
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: lambda part: f"nn.BatchNorm2d({part.num_features})",
    nn.AvgPool2d: _average,
    nn.MaxPool2d: lambda part: f"nn.MaxPool2d({part.kernel_size}, stride={part.stride}, padding={part.padding})",
    nn.ReLU: lambda part: "nn.ReLU()",
    nn.SiLU: lambda part: "nn.SiLU()",
    nn.Hardswish: lambda part: "nn.Hardswish()",
    nn.LeakyReLU: lambda part: f"nn.LeakyReLU({part.negative_slope})",
    nn.GELU: lambda part: "nn.GELU()",
    nn.Tanh: lambda part: "nn.Tanh()",
}

TEMPLATE = '''\
"""Branch {attribute}: features of the trunk in, one probability per value out.

Features: float32 {batch_shape}, the trunk's map after {depth} blocks. Scores: {scores_shape}.
Needs torch and safetensors only. Written by GraftNet from architecture {identity}.

    branch = load()
    scores = branch(features)
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

ATTRIBUTE = {attribute}
VALUES = {values}
THRESHOLD = {threshold}  # {threshold_meaning}
FEATURE_SHAPE = {shape}
FREEZE_DEPTH = {depth}
TRUNK_FINGERPRINT = "{fingerprint}"


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
    graph = branch.plan
    assert record.architecture is not None
    sequences = {"stem": branch.stem} | {f"node{number}": part for number, part in enumerate(branch.nodes, start=1)}
    constructor, weights = [], {}
    for name, sequence in sequences.items():
        lines, state = _sequence(name, sequence)
        constructor += lines
        weights.update(state)
    if branch.head.shortcut_norm is not None:
        constructor.append(f"self.shortcut_norm = nn.BatchNorm1d({branch.feature_shape[0]}, affine=False)")
        weights.update(_state("shortcut_norm", branch.head.shortcut_norm))
    linear = branch.head.linear
    constructor.append(f"self.linear = nn.Linear({linear.in_features}, {linear.out_features})")
    weights.update(_state("linear", linear))
    text = TEMPLATE.format(
        attribute=_quoted(record.attribute),
        values=f"({', '.join(_quoted(value) for value in record.values)})",
        threshold=record.threshold,
        threshold_meaning=_threshold_meaning(record),
        identity=record.architecture.identity,
        shape=record.feature_shape,
        batch_shape=f"(N, {', '.join(str(size) for size in record.feature_shape)})",
        scores_shape=f"float32 (N, {len(record.values)})",
        depth=record.freeze_depth,
        fingerprint=record.fingerprint,
        channels=record.feature_shape[0],
        count=len(record.values),
        summary=f"{len(graph.nodes)} nodes of width {graph.width}, {graph.pooling} pooling.",
        constructor=_indented(constructor),
        body=_indented(_body(branch)),
    )
    return text, weights


def _body(branch: Branch) -> list[str]:
    graph = branch.plan
    names = ["stem", *(f"node{number}" for number in range(1, len(graph.nodes) + 1))]
    lines = ["stem = self.stem(features)"]
    for number, part in enumerate(graph.nodes, start=1):
        lines.append(f"node{number} = self.node{number}({' + '.join(names[one] for one in part.inputs)})")
    total = " + ".join(names[one] for one in graph.outputs)
    lines.append(f"maps = ({total}) / {len(graph.outputs)}" if len(graph.outputs) > 1 else f"maps = {total}")
    if graph.pooling == "average":
        lines.append("pooled = maps.mean((2, 3))")
    elif graph.pooling == "bilinear":
        lines += [
            "rows = maps.flatten(2)",
            "pooled = torch.bmm(rows, rows.transpose(1, 2)).flatten(1) / rows.shape[2]",
            f"pooled = pooled / (pooled.abs() + {EPSILON}).sqrt()",
            f"pooled = pooled / (pooled.square().sum(1, keepdim=True) + {EPSILON**2}).sqrt()",
        ]
    else:
        raise BranchError(f"pooling {graph.pooling!r} cannot be exported as source: export it as ONNX")
    if graph.shortcut:
        lines.append("shortcut = self.shortcut_norm(features.mean((2, 3)))")
        lines.append(f"pooled = torch.cat([pooled, shortcut * {branch.head.shortcut_scale!r}], dim=1)")
    return [*lines, "return self.linear(pooled)"]


def _sequence(name: str, sequence: nn.Module) -> tuple[list[str], dict[str, Tensor]]:
    """(constructor lines, weights under their new names) of a chain of plain modules."""
    lines, weights = [f"self.{name} = nn.Sequential("], {}
    for number, part in enumerate(_leaves(sequence)):
        if type(part) not in CONSTRUCTORS:
            raise BranchError(f"a {type(part).__name__} cannot be exported as source: export the branch as ONNX")
        lines.append(f"    {CONSTRUCTORS[type(part)](part)},")
        weights.update(_state(f"{name}.{number}", part))
    return [*lines, ")"], weights


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Sequential):
        for part in module:
            yield from _leaves(part)
    else:
        yield module


def _state(name: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for key, value in plain_state(module).items()}


def _threshold_meaning(record: BranchRecord) -> str:
    if record.threshold is None:
        return "the value with the highest score is predicted"
    return f"{_quoted(record.values[1])} is predicted when its score is at least this"


def _quoted(text: str) -> str:
    """A Python literal with double quotes: JSON's is one, when it keeps what is not ASCII."""
    return json.dumps(text, ensure_ascii=False)


def _indented(lines: list[str]) -> str:
    return "\n".join(f"        {line}" for line in lines)
