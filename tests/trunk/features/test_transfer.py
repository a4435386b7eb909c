"""Batches on their way to a device: the next is sent before the one before it is worked on, and none is mixed up."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from trunk.features.transfer import CudaLane, HostLane, Sent, lane_to, transferred


class Watched(HostLane):
    """Says what is done, and has a batch arrive only when it is received."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def send(self, pixels: Tensor) -> Sent:
        self.done.append(f"send {int(pixels[0])}")
        return Sent(pixels)

    def receive(self, sent: Sent) -> Tensor:
        self.done.append(f"receive {int(sent.pixels[0])}")
        return sent.pixels


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_the_next_batch_is_sent_before_the_one_before_it_is_worked_on(count: int) -> None:
    lane = Watched()
    for pixels in transferred([torch.full((2,), number) for number in range(count)], lane):
        lane.done.append(f"work {int(pixels[0])}")
    expected = ["send 0"] if count else []
    for number in range(count):
        if number + 1 < count:
            expected.append(f"send {number + 1}")
        expected += [f"receive {number}", f"work {number}"]
    assert lane.done == expected


def test_an_error_comes_after_the_batches_before_it() -> None:
    def batches() -> Iterator[Tensor]:
        yield from (torch.zeros(1), torch.ones(1))
        raise ValueError("broken")

    coming = transferred(batches(), HostLane())
    assert float(next(coming)) == 0.0
    with pytest.raises(ValueError, match="broken"):
        next(coming)


class FakeStream:
    """A stream that says what it is asked for."""

    def __init__(self, name: str, said: list[str]) -> None:
        self.name, self.said = name, said

    def __enter__(self) -> None:
        self.said.append(f"{self.name} begins")

    def __exit__(self, *_: object) -> None:
        self.said.append(f"{self.name} ends")

    def record_event(self) -> str:
        self.said.append(f"{self.name} marks")
        return "mark"

    def wait_event(self, event: object) -> None:
        self.said.append(f"{self.name} waits for the {event}")


class FakePixels:
    """A tensor that says where it goes."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def pin_memory(self) -> "FakePixels":
        self.said.append("pinned")
        return self

    def to(self, device: torch.device, *, non_blocking: bool) -> "FakePixels":
        self.said.append(f"copied to {device}, {'not ' if non_blocking else ''}waiting")
        return self

    def record_stream(self, stream: FakeStream) -> None:
        self.said.append(f"kept for {stream.name}")


def test_a_gpus_lane_copies_beside_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    copies, work = FakeStream("copies", said), FakeStream("work", said)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: copies)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: work)
    lane = lane_to(torch.device("cuda"))
    assert isinstance(lane, CudaLane)
    pixels = FakePixels(said)
    sent = lane.send(lane.prepare(pixels))  # type: ignore[arg-type]
    assert said == ["pinned", "copies begins", "copied to cuda, not waiting", "copies marks", "copies ends"]
    said.clear()
    received: object = lane.receive(sent)
    assert received is pixels
    assert said == ["work waits for the mark", "kept for work"]


def test_other_devices_copy_when_they_compute() -> None:
    assert isinstance(lane_to(torch.device("cpu")), HostLane)
    assert isinstance(lane_to(torch.device("mps")), HostLane)
