import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from branches.branch import Branch
from branches.costs.architecture import branch_workload
from branches.costs.latency import Latency
from nas.limits.latency import latency_model
from search_spaces import Architecture, macro_space

SPACE = macro_space(3, widths=(4, 8, 16), depths=(1, 2, 3))
SHAPE = (6, 5, 5)
CPU = torch.device("cpu")


def true_latency(architecture: Architecture) -> float:
    """A device on which a call takes a hundredth, a thousand products a thousandth of a millisecond."""
    works = branch_workload(architecture, SHAPE, 2)
    products = sum(work.amount for kind, work in works.items() if kind.startswith(("conv", "depth")))
    return 0.05 + 0.01 * sum(work.calls for work in works.values()) + 1e-6 * products


def fake(modules: list[Branch], shape: object, *, device: object, batch: int, runs: int) -> list[Latency]:
    times = [true_latency(module.architecture) for module in modules]
    return [Latency(ms, ms, ms, runs, batch, "fake", 1) for ms in times]


def model(path: Path, count: int = 60) -> Any:
    rng = np.random.default_rng(0)
    drawn = [SPACE.random(rng) for _ in range(count)]
    return latency_model(path, drawn, SHAPE, 2, device=CPU, batch=1)


def test_an_additive_device_is_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.limits.latency.latencies", fake)
    found = model(tmp_path / "model.json")
    rng = np.random.default_rng(1)
    others = [SPACE.random(rng) for _ in range(50)]
    errors = [abs(found.predict(one, SHAPE, 2) / true_latency(one) - 1) for one in others]
    assert np.mean(errors) < 0.01
    assert found.mean_error < 0.02
    assert found.kendall_tau > 0.95
    assert (found.measured, found.device, found.batch) == (60, "fake", 1)
    assert min(found.per_call.values()) >= 0
    assert min(found.per_amount.values()) >= 0


def test_the_error_is_that_of_architectures_it_was_not_fitted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held_out_twice_as_slow(modules: list[Branch], shape: object, **options: Any) -> list[Latency]:
        found = fake(modules, shape, **options)
        return [
            dataclasses.replace(one, median_ms=one.median_ms * (2 if place < 12 else 1))
            for place, one in enumerate(found)
        ]

    monkeypatch.setattr("nas.limits.latency.latencies", held_out_twice_as_slow)
    assert model(tmp_path / "model.json").mean_error == pytest.approx(0.5, abs=0.02)


def test_it_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = model(tmp_path / "model.json", 20)
    assert first.device == "cpu"

    def refuse(*_arguments: object, **_options: object) -> list[Latency]:
        raise AssertionError("measured again")

    monkeypatch.setattr("nas.limits.latency.latencies", refuse)
    assert model(tmp_path / "model.json", 20) == first
    architecture = SPACE.random(np.random.default_rng(5))
    again = model(tmp_path / "model.json", 20)
    assert again.predict(architecture, SHAPE, 2) == first.predict(architecture, SHAPE, 2) > 0
