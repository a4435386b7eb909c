"""Costs of the trunk down to a depth: shared by all branches, paid again by every network of its own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from branches.costs.latency import latencies, synchronise
from branches.costs.module import macs
from trunk.trunk import Trunk, tail_modules

RUNS = 10  # passes that the latency is the fastest of
WARMUP_RUNS = 3


class Cut(nn.Module):
    """The first ``depth`` blocks of a trunk: images (1, 3, S, S) -> features."""

    def __init__(self, trunk: Trunk, depth: int) -> None:
        super().__init__()
        self.trunk, self.depth = trunk, depth

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.trunk(images, self.depth)
        return features


def costs_at(trunk: Trunk, depth: int, threads: int | None) -> dict[str, Any]:
    """Parameters, MACs and latency of the first ``depth`` blocks, for one image.

    threads: so many of the CPU it is timed with, as the branches were that it is set beside; None: it is not timed.
    """
    cut, shape = Cut(trunk, depth), (3, *trunk.preprocessing.shape)
    weights = sum(weight.numel() for _, module in tail_modules(trunk.chain, 0, depth) for weight in module.parameters())
    latency_ms = None
    if threads is not None:
        with so_many_threads(threads):
            latency_ms = latencies([cut], shape, device=torch.device("cpu"), runs=RUNS)[0].milliseconds
    return {"parameters": weights, "macs": macs(cut, shape), "latency_ms": latency_ms}


@torch.inference_mode()
def depth_milliseconds(trunk: Trunk, *, runs: int = RUNS) -> list[float]:
    """Milliseconds of one image down to each depth, where the trunk lies, from passes that stop the clock at each.

    All depths are timed in the same passes, so that what else the machine does falls on all of them; of each block the
    fastest pass counts.
    """
    device = next(trunk.parameters()).device
    images = torch.randn(1, 3, *trunk.preprocessing.shape, generator=torch.Generator().manual_seed(0)).to(device)
    images = images.contiguous(memory_format=torch.channels_last)
    fastest = [float("inf")] * len(trunk.chain)
    for run in range(WARMUP_RUNS + runs):
        features = images
        for block in range(len(trunk.chain)):
            synchronise(device)
            started = time.perf_counter()
            features = trunk.chain.run_block(block, features)
            synchronise(device)
            if run >= WARMUP_RUNS:
                fastest[block] = min(fastest[block], 1000 * (time.perf_counter() - started))
    return list(accumulate(fastest))


@contextmanager
def so_many_threads(threads: int) -> Iterator[None]:
    """torch computes with so many threads while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def how_timed(threads: int) -> str:
    """How the latency is measured, in words."""
    return f"one image on cpu, {threads} thread{'' if threads == 1 else 's'}, the fastest of {RUNS}"
