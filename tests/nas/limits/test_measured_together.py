"""Latencies that are compared are measured in the same rounds, once."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from branches.costs.latency import Latency
from nas.limits.latency import Latencies
from tests.nas.limits.test_latency import SHAPE, SPACE


def test_all_sides_are_timed_in_one_call_and_known_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    takes = iter([5.0, 0.5, 2.0, 7.0])

    def fake(modules: Sequence[nn.Module], *_: object, **__: object) -> list[Latency]:
        calls.append(len(modules))
        return [Latency(9.0, 9.0, 9.0, 1, 1, "cpu", 1, next(takes)) for _ in modules]

    monkeypatch.setattr("nas.limits.latency.latencies", fake)
    winner, other = (SPACE.architecture([choice] + [0] * (len(SPACE.decisions) - 1)) for choice in (0, 1))
    latencies = Latencies(tmp_path, SHAPE, 2, device=torch.device("cpu"))
    found = latencies.together({"tail": nn.Identity}, {"winner": winner}, [winner, other])
    assert calls == [3]
    assert {name: latency.milliseconds for name, latency in found.items()} == {"tail": 5.0, "winner": 0.5}
    again = Latencies(tmp_path, SHAPE, 2, device=torch.device("cpu"))
    assert [latency.milliseconds for latency in again.of([winner, other])] == [0.5, 2.0]
    assert calls == [3]
