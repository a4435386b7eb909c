"""Write tails and trunks as plain torch source: their blocks are traced by torch.fx, operation by operation.

torch.fx: Practical Program Capture and Transformation for Deep Learning in Python (Reed et al., 2022),
arXiv:2112.08429.
InceptionV3's, the small network's and plain residual networks' blocks can be written; those with modules that are not
torch's own are exported without source.
"""

import builtins
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from branches.errors import BranchError
from branches.export.source import constructed, named_state, sequence_source, text_of
from branches.layers import ACTIVATIONS, POOLINGS, ProjectedPool
from branches.saved import BranchRecord
from trunk.trunk import Tail, Trunk, tail_modules

ACTIVATION_TYPES = tuple(type(make()) for make in ACTIVATIONS.values())
SYMBOLS: dict[Any, str] = {
    operator.add: "+",
    operator.iadd: "+",
    operator.mul: "*",
    operator.imul: "*",
    operator.sub: "-",
    operator.truediv: "/",
}
POOLS = (functional.max_pool2d, functional.avg_pool2d)
POOLING = {"padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False}
SHOWN = 4  # modules named one by one in the summary
PLAIN = (bool, int, float, str, type(None))


def tail_source(tail: Tail, record: BranchRecord) -> tuple[str, dict[str, Tensor]]:
    """(text of branch.py, the weights under the names that it uses). Raises: BranchError for a part it cannot write."""
    written = Written(tail.blocks)
    constructor, weights = written.constructor, written.weights
    body = [*written.lines, f"maps = {written.result}"]
    if isinstance(tail.pool, ProjectedPool):
        lines, state = sequence_source("projection", tail.pool.get_submodule("projection"))
        constructor, weights = constructor + lines, weights | state
        body.append("maps = self.projection(maps)")
        pooling, width = tail.pool.pooling, f" of {tail.pool.width} channels"
    else:
        pooling, width = _pooling_of(tail.pool), ""
    body += POOLINGS[pooling].source
    constructor.append(f"self.linear = nn.Linear({tail.linear.in_features}, {tail.linear.out_features})")
    weights.update(named_state("linear", tail.linear))
    body.append("return self.linear(pooled)")
    names = [name for name, _ in tail.blocks.named_children()]
    blocks = ", ".join(names) if len(names) <= SHOWN else f"{names[0]} to {names[-1]}"
    summary = f"The backbone's own {blocks}; {pooling} pooling{width}."
    text = text_of(record, summary, constructor, body, functional=any("functional." in line for line in body))
    return text, weights


def _pooling_of(pool: nn.Module | None) -> str:
    if pool is None:
        return "average"
    for name, pooling in POOLINGS.items():
        if type(pool) is pooling.module:
            return name
    raise BranchError(f"a {type(pool).__name__} cannot be exported as source: export the branch as ONNX")


class Written:
    """A traced module as lines: `constructor`, the `lines` that compute, and the name of their `result`."""

    def __init__(self, blocks: nn.Module) -> None:
        self.constructor: list[str] = []
        self.weights: dict[str, Tensor] = {}
        self.lines: list[str] = []
        self.result = ""
        self.blocks = blocks
        self.expressions: dict[fx.Node, str] = {}
        self.attributes: dict[str, str] = {}
        try:
            graph = fx.Tracer().trace(blocks)
        except (TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError) as error:
            raise BranchError(f"these blocks cannot be traced, so not exported as source ({error})") from error
        for node in graph.nodes:
            if node.users or node.op == "output":  # what nobody reads is left out
                self.write(node)

    def write(self, node: fx.Node) -> None:
        """One operation: an expression inside the next one where that alone reads it, else a line of its own."""
        if node.op == "placeholder":
            self.expressions[node] = "features"
        elif node.op == "output":
            self.result = self.argument(node.args[0])
        else:
            if overwrites(node, self.blocks) and len(node.all_input_nodes[0].users) > 1:
                raise BranchError("these blocks overwrite a map that is read again: use branch.onnx")
            expression = self.expression(node)
            reader = next(iter(node.users), None)
            nested = reader is not None and len(node.users) == 1 and takes_one(reader) and not self.ends_line(node)
            if not nested:
                name = identifier(node.name)
                self.lines.append(f"{name} = {expression}")
                expression = name
            self.expressions[node] = expression

    def ends_line(self, node: fx.Node) -> bool:
        """Whether it is an activation, or no module: a line holds a convolution, its norm and what follows them."""
        return node.op != "call_module" or isinstance(self.blocks.get_submodule(str(node.target)), ACTIVATION_TYPES)

    def expression(self, node: fx.Node) -> str:
        if node.op == "call_module":
            part = self.blocks.get_submodule(str(node.target))
            inputs = ", ".join(self.argument(value) for value in node.args)
            return inputs if isinstance(part, nn.Identity | nn.Dropout) else f"self.{self.attribute(node)}({inputs})"
        # Nothing is done in place, and of a pooling's settings only those are written that are not the usual ones.
        usual = POOLING if node.target in POOLS else {}
        named = {
            name: value
            for name, value in node.kwargs.items()
            if name != "inplace" and not (name in usual and usual[name] == value)
        }
        if node.op == "call_function" and node.target in SYMBOLS and not named:
            left, right = (self.argument(value) for value in node.args)
            return f"({left} {SYMBOLS[node.target]} {right})"
        arguments = [self.argument(value) for value in node.args]
        arguments += [f"{name}={self.argument(value)}" for name, value in named.items()]
        if node.op == "call_method":
            return f"{arguments[0]}.{node.target}({', '.join(arguments[1:])})"
        return f"{called(node)}({', '.join(arguments)})"

    def attribute(self, node: fx.Node) -> str:
        """The name of a module; it is written into the constructor, with its weights, the first time."""
        target = str(node.target)
        if target not in self.attributes:
            part = self.blocks.get_submodule(target)
            self.attributes[target] = name = identifier(target)
            self.constructor.append(f"self.{name} = {constructed(part)}")
            self.weights.update(named_state(name, part))
        return self.attributes[target]

    def argument(self, value: Any) -> str:
        """A value between an operation's brackets. Raises: BranchError for one that is neither plain nor computed."""
        if isinstance(value, fx.Node):
            return self.expressions[value]
        if isinstance(value, list | tuple):
            inside = ", ".join(self.argument(item) for item in value)
            return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
        if isinstance(value, PLAIN) and not (isinstance(value, float) and not math.isfinite(value)):
            return repr(value)
        raise BranchError(f"a {type(value).__name__} cannot be exported as source: export the branch as ONNX")


def overwrites(node: fx.Node, blocks: nn.Module) -> bool:
    """Whether an operation writes into what it reads; in the source it does not."""
    part = blocks.get_submodule(str(node.target)) if node.op == "call_module" else None
    named = node.kwargs.get("inplace", getattr(part, "inplace", False))
    return bool(named) or node.target in (operator.iadd, operator.imul)


def takes_one(node: fx.Node) -> bool:
    """Whether an operation reads one map only, so that what makes the map may stand inside its brackets."""
    return node.op != "output" and len(node.all_input_nodes) == 1


def called(node: fx.Node) -> str:
    """A function of torch as source writes it. Raises: BranchError for any other."""
    target: Callable[..., Any] | str = node.target
    name = getattr(target, "__name__", str(target))
    for prefix, module in (("functional", functional), ("torch", torch)):
        if node.op == "call_function" and getattr(module, name, None) is target:
            return f"{prefix}.{name}"
    raise BranchError(f"an operation of these blocks ({name}) cannot be written as plain torch: use branch.onnx")


def identifier(name: str) -> str:
    """A module's path or a node's name as a Python name, in lower case."""
    plain = re.sub(r"\W", "_", name).lower()
    taken = hasattr(builtins, plain) or hasattr(nn.Module, plain) or plain in ("features", "maps", "linear", "torch")
    return f"{plain}_" if taken or plain[0].isdigit() else plain


TEMPLATE = '''\
"""The trunk: normalised images in, the maps that the branches read out, by what they read.

Images: float32 (N, 3, {height}, {width}), scaled to 0..1, then (x - mean) / std with mean {mean} and std {std}.
Needs torch and safetensors only. Written by GraftNet from {backbone}.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

FINGERPRINT = "{fingerprint}"
# "6": the map after 6 blocks; "6+1+2": behind its channels the averages of the maps after 1 and 2.
READS = {keys}


class Trunk(nn.Module):
    """The first {deepest} blocks of {backbone}."""

    def __init__(self) -> None:
        super().__init__()
{constructor}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, {height}, {width}) -> {{what is read: map (N, C, H, W)}}."""
        features = images
{body}


def load(folder: str | Path = Path(__file__).parent) -> Trunk:
    """The trunk with its weights, ready to run."""
    trunk = Trunk()
    trunk.load_state_dict(load_file(Path(folder) / "trunk.safetensors"))
    return trunk.eval()
'''


def trunk_source(trunk: Trunk, keys: Sequence[str]) -> tuple[str, dict[str, Tensor]]:
    """(text of trunk.py, its weights) for what is read: depths, "6", or with averages of earlier ones, "6+1+2".

    Raises: BranchError for a backbone with parts that cannot be written.
    """
    reads = [tuple(map(int, key.split("+"))) for key in keys]
    written = Written(_Maps(trunk, reads))
    body = [*written.lines, f"return dict(zip(READS, {written.result}, strict=True))"]
    preprocessing = trunk.preprocessing
    text = TEMPLATE.format(
        height=int(preprocessing.shape[0]),
        width=int(preprocessing.shape[1]),
        mean=tuple(map(float, preprocessing.mean)),
        std=tuple(map(float, preprocessing.std)),
        backbone=trunk.backbone,  # a name that `find_backbone` knows
        fingerprint=trunk.fingerprint,
        keys=tuple("+".join(map(str, read)) for read in reads),
        deepest=max(depth for depth, *_ in reads),
        constructor="\n".join(f"        {line}" for line in written.constructor),
        body="\n".join(f"        {line}" for line in body),
    )
    return text, written.weights


class _Maps(nn.Module):
    """The blocks one after the other, as torch.fx traces them: images -> the maps that are read.

    reads: of each the depth, and behind it the earlier depths whose averages lie behind its channels.
    """

    def __init__(self, trunk: Trunk, reads: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.reads, self.sides = reads, {depth: trunk.feature_shape(depth)[1:] for depth, *_ in reads}
        self.ends = []
        for depth in range(max(depth for depth, *_ in reads)):
            for name, module in tail_modules(trunk.chain, depth, depth + 1):
                self.add_module(name.replace(".", "_"), module)
            self.ends.append(len(self._modules))

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        maps = {}
        for number, module in enumerate(self.children(), start=1):
            features = module(features)
            if number in self.ends:
                maps[self.ends.index(number) + 1] = features
        return tuple(self.read(maps, depth, sources) for depth, *sources in self.reads)

    def read(self, maps: dict[int, Tensor], depth: int, sources: list[int]) -> Tensor:
        """As `trunk.features.context.read`, in operations that can be written."""
        if not sources:
            return maps[depth]
        averages = torch.cat([maps[source].mean((2, 3), keepdim=True) for source in sources], 1)
        return torch.cat([maps[depth], averages.expand(-1, -1, *self.sides[depth])], 1)
