"""Latencies of architectures: measured ones, kept by name, and a model of all others, fitted on a few dozen of them.

The time of a branch is a sum over its tensor operations: so much per call, and so much per multiply-accumulate or
written number of each kind (`branches.costs.module`), none of them negative, by least squares on relative errors.
Lookup tables of operations, as in FBNet (Wu et al., 2019), arXiv:1812.03443, are the same idea; here no operation is
timed by itself, where caches and dispatch would flatter it. Terms per decision instead of per operation were tried and
were three to four times as far off, because a decision's time depends on the width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls
from scipy.stats import kendalltau
from torch import nn

from branches.branch import Branch, FeatureShape
from branches.costs.architecture import Part, branch_workload, part_workload, parts
from branches.costs.latency import Latency, latencies
from branches.costs.module import Workload
from branches.measures.metrics import Floats
from foundation.files import write_json
from foundation.records import read_json, reading
from search_spaces.architecture import Architecture

TOGETHER = 32  # modules in memory, and timed in turn, at a time
RUNS = 30
FIT_ON, TEST_ON = 80, 20  # architectures a model is fitted on, and judged by


class Latencies:
    """Latencies by name, in the file ``latencies.json`` of `folder`; an architecture's name is its identity."""

    def __init__(self, folder: Path, shape: FeatureShape, values: int, *, device: torch.device, batch: int = 1) -> None:
        self.path = folder / "latencies.json"
        self.shape, self.values, self.device, self.batch = shape, values, device, batch
        self._known: dict[str, Latency] = {}
        if self.path.exists():
            with reading(self.path):
                self._known = {name: Latency(**fields) for name, fields in read_json(self.path).items()}
                sum(latency.median_ms + latency.threads for latency in self._known.values())  # numbers, all of them

    def of(self, architectures: Sequence[Architecture]) -> list[Latency]:
        """The latency of each architecture's branch."""
        builders = {
            architecture.identity: partial(Branch, architecture, self.shape, self.values)
            for architecture in architectures
        }
        measured = self.named(builders)
        return [measured[architecture.identity] for architecture in architectures]

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

    def together(
        self,
        builders: Mapping[str, Callable[[], nn.Module]],
        architectures: Mapping[str, Architecture],
        beside: Sequence[Architecture] = (),
    ) -> dict[str, Latency]:
        """The latencies of all that are set side by side, by the names given, timed in turn in the same rounds.

        beside: more architectures to time in those rounds, for `of`. What a limit had timed before keeps its figure.
        """
        branches = {
            architecture.identity: partial(Branch, architecture, self.shape, self.values)
            for architecture in (*architectures.values(), *beside)
        }
        measured = self.named({**builders, **branches})
        named = {name: measured[architecture.identity] for name, architecture in architectures.items()}
        return {**{name: measured[name] for name in builders}, **named}


@dataclass(frozen=True)
class LatencyModel:
    """Milliseconds per call and per unit of amount, by kind of operation, and for the branch as such.

    `mean_error` (relative) and `kendall_tau` are those of a fit on `FIT_ON` architectures for `TEST_ON` others, on the
    device and at the batch it was measured with; the coefficients are then fitted on all of them.
    """

    constant: float
    per_call: Mapping[str, float]
    per_amount: Mapping[str, float]
    mean_error: float
    kendall_tau: float | None
    measured: int
    batch: int
    device: str
    threads: int

    def predict(self, architecture: Architecture, shape: FeatureShape, values: int) -> float:
        """Milliseconds of the architecture's branch for a batch of features of `shape`."""
        return self.constant + sum(self._part(part) for part in parts(architecture, shape, values))

    def _part(self, part: Part) -> float:
        if part not in self._parts:
            self._parts[part] = sum(
                self.per_call.get(kind, 0.0) * work.calls + self.per_amount.get(kind, 0.0) * work.amount
                for kind, work in part_workload(part).items()
            )
        return self._parts[part]

    @cached_property
    def _parts(self) -> dict[Part, float]:
        return {}


def latency_model(
    path: Path,
    architectures: Sequence[Architecture],
    shape: FeatureShape,
    values: int,
    *,
    device: torch.device,
    batch: int,
) -> LatencyModel:
    """The model in the file at `path`, or, where there is none, one fitted on `architectures`, measured and written.

    Written once: timing is noisy, and a search that continues must allow what it allowed before. Give at least ten
    architectures, drawn as those that will be asked for.
    """
    if path.exists():
        with reading(path):
            return LatencyModel(**read_json(path))
    modules = [Branch(architecture, shape, values).to(device) for architecture in architectures]
    measured = latencies(modules, shape, device=device, batch=batch, runs=RUNS)
    works = [branch_workload(architecture, shape, values) for architecture in architectures]
    times = np.array([latency.milliseconds for latency in measured])
    held = len(times) * TEST_ON // (FIT_ON + TEST_ON)
    kinds = sorted({kind for work in works for kind in work})
    rows = np.array([_row(work, kinds) for work in works])
    guessed = rows[:held] @ _fitted(rows[held:], times[held:])
    tau = float(kendalltau(guessed, times[:held]).statistic)
    coefficients = _fitted(rows, times)
    model = LatencyModel(
        constant=float(coefficients[-1]),
        per_call=dict(zip(kinds, coefficients[0:-1:2].tolist(), strict=True)),
        per_amount=dict(zip(kinds, coefficients[1:-1:2].tolist(), strict=True)),
        mean_error=float(np.mean(np.abs(guessed / times[:held] - 1))),
        kendall_tau=None if np.isnan(tau) else tau,
        measured=len(times),
        batch=batch,
        device=measured[0].device,
        threads=measured[0].threads,
    )
    write_json(path, asdict(model))
    return model


def _row(work: Workload, kinds: Sequence[str]) -> list[float]:
    """Calls and amount of each kind, then 1: (2 K + 1,)."""
    return [float(figure) for kind in kinds for figure in work.get(kind, (0, 0))] + [1.0]


def _fitted(rows: Floats, times: Floats) -> Floats:
    """Coefficients (2 K + 1,) >= 0 with the least squared relative error."""
    scale = np.maximum(rows.max(0), 1.0)
    coefficients: Floats = nnls(rows / scale / times[:, None], np.ones(len(times)))[0] / scale
    return coefficients
