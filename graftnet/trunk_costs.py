"""What the trunk costs down to a depth: what all branches share, and every network of its own would pay again."""

from typing import Any

import torch
from torch import Tensor, nn

from branches.costs import macs
from branches.latency import latencies
from trunk.trunk import Trunk, tail_modules

RUNS = 10  # passes that the latency is the median of


class Cut(nn.Module):
    """The first ``depth`` blocks of a trunk: images (1, 3, S, S) -> features."""

    def __init__(self, trunk: Trunk, depth: int) -> None:
        super().__init__()
        self.trunk, self.depth = trunk, depth

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.trunk(images, self.depth)
        return features


def costs_at(trunk: Trunk, depth: int) -> dict[str, Any]:
    """Parameters, MACs and measured latency of the first ``depth`` blocks, for one image."""
    cut, size = Cut(trunk, depth), trunk.preprocessing.size
    shape = (3, size, size)
    weights = sum(weight.numel() for _, module in tail_modules(trunk.chain, 0, depth) for weight in module.parameters())
    timed = latencies([cut], shape, device=torch.device("cpu"), runs=RUNS)[0]
    return {"parameters": weights, "macs": macs(cut, shape), "latency_ms": timed.median_ms}


def how_timed() -> str:
    """How the latency is measured, in words."""
    threads = torch.get_num_threads()
    return f"one image on cpu, {threads} thread{'' if threads == 1 else 's'}, the median of {RUNS}"
