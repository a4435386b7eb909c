"""What a module makes the machine do: which tensor operations it calls, how often, and how much work each is.

Counted as the module runs, below autograd, so that sums, poolings and views are seen too. It is what a model of latency
needs (`nas.latency_model`): a small map on a fast device costs its calls, a large one its work.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


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
    found: Workload = recorder.found
    return found


def total(workloads: Sequence[Workload]) -> Workload:
    """The work of several parts together.

    >>> total([{"add": Work(1, 10)}, {"add": Work(2, 5), "relu": Work(1, 7)}])
    {'add': Work(calls=3, amount=15), 'relu': Work(calls=1, amount=7)}
    """
    found: dict[str, Work] = {}
    for one in workloads:
        for kind, work in one.items():
            before = found.get(kind, Work(0, 0))
            found[kind] = Work(before.calls + work.calls, before.amount + work.amount)
    return found


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: dict[str, Work] = {}

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
        before = self.found.get(name, Work(0, 0))
        self.found[name] = Work(before.calls + 1, before.amount + size)
        return result
