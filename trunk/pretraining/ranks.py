"""Ranks: the processes that train one trunk together, and the sums by which they do.

PyTorch's DistributedDataParallel averages gradients over ranks and wants every rank to use every parameter; here a step
uses some attributes' layers only, and a sum over ranks of losses that are already divided by the whole batch is exactly
the one process's gradient.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from trunk.errors import TrunkError

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # of torchrun
PATIENCE = timedelta(hours=1)  # while the first rank validates, the others wait


@dataclass(frozen=True)
class Ranks:
    """This process is number ``rank`` of ``count``; of one alone nothing is sent.

    With more, PyTorch's default process group has to stand while they work (gloo on CPUs, nccl on GPUs).
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum over ranks, in place; all get the same bits."""
        if self.count > 1:
            distributed.all_reduce(value)
        return value

    def gather(self, value: Tensor) -> Tensor:
        """Every rank's value, in order of rank: (count, ...)."""
        if self.count == 1:
            return value[None]
        gathered = [torch.empty_like(value) for _ in range(self.count)]
        distributed.all_gather(gathered, value)
        return torch.stack(gathered)

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.count > 1:
            distributed.barrier()

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its sum over ranks, in one message; those that are None stay so on all ranks."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        together = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(together, [gradient.numel() for gradient in gradients])
        for gradient, summed in zip(gradients, parts, strict=True):
            gradient.copy_(summed.view_as(gradient))

    def check_equal(self, module: nn.Module, when: str) -> None:
        """Raise TrunkError unless all ranks hold the same weights, bit for bit."""
        if self.count == 1:
            return
        digest = hashlib.sha256()
        for value in module.state_dict().values():
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        device = next(module.parameters()).device
        mine = torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8).long().to(device)
        differing = [rank for rank, theirs in enumerate(self.gather(mine)) if not torch.equal(theirs, mine)]
        if differing:
            raise TrunkError(
                f"The ranks of this trunk training hold different weights {when} (rank {self.rank} and rank "
                f"{differing[0]}); give all of them the same data, settings and checkpoint, and call again."
            )


@contextmanager
def ranks_of_torchrun(device: torch.device) -> Iterator[tuple[Ranks, torch.device]]:
    """This process's place among its ranks and its own device, while the block runs: nccl on GPUs, gloo on CPUs.

    Raises:
        TrunkError: the device cannot be shared by ranks, or there are more ranks here than GPUs.
    """
    if not all(name in os.environ for name in VARIABLES) or int(os.environ["WORLD_SIZE"]) == 1:
        yield Ranks(), device
        return
    if device.type not in ("cpu", "cuda"):
        raise TrunkError(f"Several ranks train on cpu or cuda, not on {device.type}; give --device cpu.")
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise TrunkError(
                f"torchrun started more ranks than the {torch.cuda.device_count()} GPU(s) of this machine; give "
                f"--nproc-per-node {torch.cuda.device_count()}, or --device cpu."
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()
