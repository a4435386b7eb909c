"""Transfer of pixels to the device that computes: the next batch is on its way while the one before it is worked on.

Beside a GPU the bytes lie in pinned memory, from which they are copied by a stream of their own; on a CPU they stay
where they are, and nothing is done ahead.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Sent(NamedTuple):
    """A batch on its way, and what says that it is there (None: it is)."""

    pixels: Tensor
    event: torch.cuda.Event | None = None


class Lane(Protocol):
    """A way to a device."""

    def prepare(self, pixels: Tensor) -> Tensor:
        """The batch where it can be sent from; called by the threads that decode."""
        ...

    def send(self, pixels: Tensor) -> Sent:
        """Begin to copy, and do not wait."""
        ...

    def receive(self, sent: Sent) -> Tensor:
        """The batch on the device; work on it waits for the copy, the caller does not."""
        ...


class HostLane:
    """Devices whose copies wait for nothing, the CPU above all."""

    def prepare(self, pixels: Tensor) -> Tensor:
        return pixels

    def send(self, pixels: Tensor) -> Sent:
        return Sent(pixels)

    def receive(self, sent: Sent) -> Tensor:
        return sent.pixels


class CudaLane:
    """A stream of copies beside the stream that computes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def prepare(self, pixels: Tensor) -> Tensor:
        return pixels.pin_memory()

    def send(self, pixels: Tensor) -> Sent:
        with torch.cuda.stream(self.stream):
            return Sent(pixels.to(self.device, non_blocking=True), self.stream.record_event())

    def receive(self, sent: Sent) -> Tensor:
        computing = torch.cuda.current_stream(self.device)
        if sent.event is not None:
            computing.wait_event(sent.event)
        # The memory belongs to the other stream: it must not be given away there while this one still reads it.
        sent.pixels.record_stream(computing)
        return sent.pixels


def lane_to(device: torch.device) -> Lane:
    """The way to a device."""
    return CudaLane(device) if device.type == "cuda" else HostLane()


def transferred(batches: Iterable[Tensor], lane: Lane) -> Iterator[Tensor]:
    """The batches in their order, each sent before the one before it is handed out."""
    due: Sent | None = None
    for pixels in batches:
        coming = lane.send(pixels)
        if due is not None:
            yield lane.receive(due)
        due = coming
    if due is not None:
        yield lane.receive(due)
