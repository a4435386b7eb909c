import time
from itertools import count

import pytest
import torch
from torch import Tensor, nn

from branches.costs.latency import WARMUP_ROUNDS, Latency, latencies, latency
from branches.errors import BranchError

CPU = torch.device("cpu")


class Clock:
    """A clock that modules move forward."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(nn.Module):
    """Takes the seconds it is told, one after the other, and keeps what it was given."""

    def __init__(self, clock: Clock, seconds: list[float], calls: list["Slow"]) -> None:
        super().__init__()
        self.clock, self.seconds, self.calls = clock, seconds, calls
        self.turn = count()
        self.seen: list[tuple[tuple[int, ...], bool, bool]] = []
        self.norm = nn.BatchNorm2d(3)

    def forward(self, features: Tensor) -> Tensor:
        turn = next(self.turn)
        self.clock.now += self.seconds[turn] if turn < len(self.seconds) else self.seconds[-1]
        self.calls.append(self)
        self.seen.append(
            (tuple(features.shape), self.training or self.norm.training, torch.is_inference_mode_enabled())
        )
        return features


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


def test_median_and_quartiles_in_milliseconds_without_the_warm_up(clock: Clock) -> None:
    module = Slow(clock, [9.0] * WARMUP_ROUNDS + [0.001, 0.005, 0.002, 0.004, 0.003], [])
    found = latency(module, (3, 2, 2), device=CPU, batch=4, runs=5)
    assert (found.low_ms, found.median_ms, found.high_ms) == pytest.approx((2.0, 3.0, 4.0))
    assert (found.milliseconds, found.spread) == pytest.approx((1.0, 2.0))
    assert found.busy
    assert (found.runs, found.batch, found.device, found.threads) == (5, 4, "cpu", torch.get_num_threads())
    assert set(module.seen) == {((4, 3, 2, 2), False, True)}


def test_what_other_programs_add_to_half_of_the_rounds_is_not_counted(clock: Clock) -> None:
    quiet = [0.010] * 6
    loaded = [0.010, 0.470, 0.441, 0.047, 0.020, 0.010]
    alone, beside = (
        latency(Slow(clock, [9.0] * WARMUP_ROUNDS + seconds, []), (3, 2, 2), device=CPU, runs=6)
        for seconds in (quiet, loaded)
    )
    assert alone.milliseconds == pytest.approx(beside.milliseconds) == pytest.approx(10.0)
    assert (alone.busy, beside.busy) == (False, True)
    assert beside.median_ms == pytest.approx(33.5)


def test_a_record_from_before_the_fastest_was_kept_counts_its_median() -> None:
    earlier = Latency(2.0, 1.0, 3.0, 30, 1, "cpu", 1)
    assert (earlier.milliseconds, earlier.spread, earlier.busy) == (2.0, None, False)


def test_modules_take_turns_and_keep_their_mode(clock: Clock) -> None:
    calls: list[Slow] = []
    first, second = Slow(clock, [0.001], calls), Slow(clock, [0.002], calls)
    second.eval()
    first.norm.eval()
    found = latencies([first, second], (3, 2, 2), device=CPU, runs=3)
    assert [one.median_ms for one in found] == pytest.approx([1.0, 2.0])
    assert calls == [first, second] * (WARMUP_ROUNDS + 3)
    assert (first.training, first.norm.training, second.training, second.norm.training) == (True, False, False, False)


def test_an_accelerator_is_waited_for_before_and_after(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("branches.costs.latency.synchronise", lambda device: waits.append(clock.now))
    latency(Slow(clock, [1.0], []), (3, 2, 2), device=CPU, runs=1)
    assert waits == [0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 5.0, 6.0]


@pytest.mark.parametrize("wrong", ["batch", "runs"])
def test_nothing_cannot_be_timed(wrong: str) -> None:
    with pytest.raises(BranchError, match=f"a {wrong} of at least 1, got 0"):
        latencies([], (3, 2, 2), device=CPU, **{wrong: 0})
