"""Costs of a module: trainable weights, bytes on disk, multiply-accumulates per image, tensor operations by kind.

Everything is counted as the module runs. The operations are seen below autograd, so that sums, poolings and views are
counted too: what a model of latency needs (`nas.limits.latency`), as a small map on a fast device costs its calls, a
large one its work.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from branches.branch import Branch
from search_spaces.micro import MicroPlan


def parameters(module: nn.Module) -> int:
    """The number of trainable weights, the scales and shifts of norms included."""
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)


def stored_bytes(module: nn.Module) -> int:
    """The weights and statistics of a module as bytes on disk, as `branches.saved.save_branch` writes them.

    The header of the file, a few kilobytes, is left out.
    """
    return sum(value.numel() * value.element_size() for value in module.state_dict().values())


def macs(module: nn.Module, *shapes: tuple[int, int, int]) -> int:
    """Multiply-accumulates for one image: convolutions, linear layers and bilinear products.

    Norms, activations, poolings and sums are left out, as is usual. Counted as the module runs (once, on zeros, in
    evaluation mode), so any module that takes a map (1, C, H, W) for each of `shapes` (C, H, W) will do; a branch or a
    tail takes one, that of the features. Its mode and its state are left as they were.
    """
    example = next(module.parameters(), torch.empty(0))
    maps = [torch.zeros(1, *shape, device=example.device, dtype=example.dtype) for shape in shapes]
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(*maps)
    finally:
        for part, mode in training.items():
            part.training = mode
    return int(counter.get_total_flops()) // 2


def part_parameters(module: nn.Module) -> dict[str, int]:
    """Trainable weights by part, in the order in which they compute; they add up to `parameters`.

    A branch has "stem", "node1" ... (or "cell1" ...) and "head"; anything else is taken apart by its children's names.
    """
    if not isinstance(module, Branch):
        counts = {name: parameters(child) for name, child in module.named_children()}
        return {name: count for name, count in counts.items() if count}
    if isinstance(module.plan, MicroPlan):
        names = [f"cell{cell.number}" for cell in module.plan.cells]
    else:
        names = [f"node{number}" for number in range(1, len(module.parts) + 1)]
    inner = {name: parameters(part) for name, part in zip(names, module.parts, strict=True)}
    return {"stem": parameters(module.stem), **inner, "head": parameters(module.head)}


class Work(NamedTuple):
    """One kind of tensor operation: how often it is called, and on how much in all.

    amount: multiply-accumulates of convolutions and matrix products, written numbers of everything else.
    """

    calls: int
    amount: int


Workload = Mapping[str, Work]


@torch.no_grad()
def workload(run: Callable[..., Any], inputs: Sequence[Tensor]) -> Workload:
    """The work of `run(*inputs)` by kind, such as `convolution3x3`, `depthwise5x5`, `native_batch_norm`, `add`."""
    with _Recorder() as recorder:
        run(*inputs)
    recorded: Workload = recorder.work
    return recorded


def total(workloads: Sequence[Workload]) -> Workload:
    """The work of several parts together.

    >>> total([{"add": Work(1, 10)}, {"add": Work(2, 5), "relu": Work(1, 7)}])
    {'add': Work(calls=3, amount=15), 'relu': Work(calls=1, amount=7)}
    """
    together: dict[str, Work] = {}
    for part in workloads:
        for kind, work in part.items():
            before = together.get(kind, Work(0, 0))
            together[kind] = Work(before.calls + work.calls, before.amount + work.amount)
    return together


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work: dict[str, Work] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.name().removeprefix("aten::").split(".")[0]
        written = result[0] if isinstance(result, tuple | list) else result
        size = written.numel() if isinstance(written, Tensor) else 0
        if name == "convolution":
            weight, groups = args[1], args[8]
            taps = "x".join(str(side) for side in weight.shape[2:])
            name = f"depthwise{taps}" if groups == weight.shape[0] > 1 else f"convolution{taps}"
            size *= weight[0].numel()
        elif name in ("mm", "bmm", "addmm"):
            size *= (args[1] if name == "addmm" else args[0]).shape[-1]
        before = self.work.get(name, Work(0, 0))
        self.work[name] = Work(before.calls + 1, before.amount + size)
        return result
