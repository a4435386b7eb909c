"""The measured latencies of one search, each taken once and kept, so that a continued search decides as it did before.

Branches are measured before they are trained: weights do not change the time. Groups of them are timed in turn.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from branches.branch import Branch, FeatureShape
from branches.latency import Latency, latencies
from foundation.files import read_json, write_json
from search_spaces.architecture import Architecture

TOGETHER = 16  # modules in memory at a time
RUNS = 30


class Latencies:
    """Latencies by name, in the file ``latencies.json`` of `folder`; an architecture's name is its identity."""

    def __init__(self, folder: Path, shape: FeatureShape, values: int, *, device: torch.device, batch: int = 1) -> None:
        self.path = folder / "latencies.json"
        self.shape, self.values, self.device, self.batch = shape, values, device, batch
        self._known: dict[str, Latency] = {}
        if self.path.exists():
            self._known = {name: Latency(**fields) for name, fields in read_json(self.path).items()}

    def of(self, architectures: Sequence[Architecture]) -> list[Latency]:
        """The latency of each architecture's branch."""
        builders = {one.identity: (lambda one=one: Branch(one, self.shape, self.values)) for one in architectures}
        found = self.named(builders)
        return [found[one.identity] for one in architectures]

    def named(self, builders: Mapping[str, Callable[[], nn.Module]]) -> dict[str, Latency]:
        """The latency of each module by name; only those not known yet are built, and measured."""
        missing = [name for name in builders if name not in self._known]
        for start in range(0, len(missing), TOGETHER):
            names = missing[start : start + TOGETHER]
            modules = [builders[name]().to(self.device) for name in names]
            measured = latencies(modules, self.shape, device=self.device, batch=self.batch, runs=RUNS)
            self._known.update(zip(names, measured, strict=True))
            write_json(self.path, {name: latency.to_json() for name, latency in self._known.items()})
        return {name: self._known[name] for name in builders}
