"""A branch as plain torch source, readable and without this toolkit, with its weights renamed to match."""

import json

from torch import Tensor

from branches.branch import Branch
from branches.layers import POOLINGS
from branches.records import BranchRecord
from branches.source_middles import MIDDLES
from branches.source_parts import named_state, sequence_source

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
    body = ["stem = self.stem(features)", *middle.body, *_head(branch)]
    return text_of(record, summary, constructor, body), weights


def text_of(
    record: BranchRecord, summary: str, constructor: list[str], body: list[str], *, functional: bool = False
) -> str:
    """The text of branch.py from the lines of `__init__` and of `logits`; `functional`: they use `functional`."""
    return TEMPLATE.format(
        attribute=_quoted(record.attribute),
        values=f"({', '.join(_quoted(value) for value in record.values)})",
        threshold=record.threshold,
        threshold_meaning=_threshold_meaning(record),
        origin=f" from architecture {record.architecture.identity}" if record.architecture else "",
        functional="\nfrom torch.nn import functional" if functional else "",
        shape=record.feature_shape,
        batch_shape=f"(N, {', '.join(str(size) for size in record.feature_shape)})",
        scores_shape=f"float32 (N, {len(record.values)})",
        depth=record.freeze_depth,
        fingerprint=record.fingerprint,
        channels=record.feature_shape[0],
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
    return json.dumps(text, ensure_ascii=False)


def _indented(lines: list[str]) -> str:
    return "\n".join(f"        {line}" for line in lines)
