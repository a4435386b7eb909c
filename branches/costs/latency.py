"""Measure how long a branch takes on the device at hand.

The machine drifts (clocks, other programs), so modules that are to be compared are timed in turn, round by round. What
counts is the fastest round: other programs can only add to it. How much longer the median round took says how busy the
machine was.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from branches.branch import FeatureShape
from branches.errors import BranchError

WARMUP_ROUNDS = 5
BUSY = 0.3  # a median round that takes so much longer than the fastest was held up by other programs


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one forward pass of `batch` images in inference mode, features in, logits out.

    median_ms, the quartiles around it, and min_ms, the fastest, of `runs` passes on `device` ("cpu", or the
    accelerator's name); `threads` as torch was set when it was measured. Records from before the fastest was kept have
    no min_ms.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    runs: int
    batch: int
    device: str
    threads: int
    min_ms: float | None = None

    @property
    def milliseconds(self) -> float:
        """What the pass takes: the fastest round, where it is known."""
        return self.median_ms if self.min_ms is None else self.min_ms

    @property
    def spread(self) -> float | None:
        """By how much, relatively, the median round took longer than the fastest."""
        return self.median_ms / self.min_ms - 1 if self.min_ms else None

    @property
    def busy(self) -> bool:
        """Whether other programs held up most rounds, so that even the fastest may be slow."""
        return (self.spread or 0.0) > BUSY

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def latency(module: nn.Module, shape: FeatureShape, *, device: torch.device, batch: int = 1, runs: int = 50) -> Latency:
    """`latencies` of one module."""
    return latencies([module], shape, device=device, batch=batch, runs=runs)[0]


@torch.inference_mode()
def latencies(
    modules: Sequence[nn.Module], shape: FeatureShape, *, device: torch.device, batch: int = 1, runs: int = 50
) -> list[Latency]:
    """Time modules that take features of `shape` (C, H, W), in turn, `runs` times each after a warm-up.

    They must be on `device`, are timed in evaluation mode, on features drawn from a normal distribution, and keep the
    mode they had. On an accelerator a pass ends when the device has finished it.
    Raises: BranchError for fewer than one image or run.
    """
    for name, value in (("batch", batch), ("runs", runs)):
        if value < 1:
            raise BranchError(f"a latency needs a {name} of at least 1, got {value}")
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(batch, *shape, generator=generator).contiguous(memory_format=torch.channels_last).to(device)
    modes = [{part: part.training for part in module.modules()} for module in modules]
    times_of: list[list[float]] = [[] for _ in modules]
    try:
        for module in modules:
            module.eval()
        for round_ in range(WARMUP_ROUNDS + runs):
            for times, module in zip(times_of, modules, strict=True):
                synchronise(device)
                started = time.perf_counter()
                module(features)
                synchronise(device)
                if round_ >= WARMUP_ROUNDS:
                    times.append(1000 * (time.perf_counter() - started))
    finally:
        for mode in modes:
            for part, training in mode.items():
                part.training = training
    return [_summary(times, batch, device) for times in times_of]


def _summary(times: Sequence[float], batch: int, device: torch.device) -> Latency:
    points = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    low, median, high = torch.tensor(times, dtype=torch.float64).quantile(points).tolist()
    return Latency(median, low, high, len(times), batch, device_name(device), torch.get_num_threads(), min(times))


def device_name(device: torch.device) -> str:
    """What a latency was measured on: the accelerator's name where torch knows it, else the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
