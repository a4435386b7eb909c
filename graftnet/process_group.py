"""The ranks that `torchrun` starts: one training in several processes, on one machine or many.

    torchrun --nproc-per-node 2 -m graftnet trunk train

`torchrun` names each process by environment variables; without them this process is alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from trunk.errors import TrunkError

if TYPE_CHECKING:
    import torch

    from trunk.ranks import Ranks

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
PATIENCE = timedelta(hours=1)  # while the first rank validates, the others wait


@contextmanager
def ranks_of_torchrun(device: "torch.device") -> Iterator[tuple["Ranks", "torch.device"]]:
    """This process's place among its ranks and its own device, while the block runs: nccl on GPUs, gloo on CPUs.

    Raises:
        TrunkError: the device cannot be shared by ranks, or there are more ranks here than GPUs.
    """
    from torch import cuda, distributed
    from torch import device as torch_device

    from trunk.ranks import Ranks

    if not all(name in os.environ for name in VARIABLES) or int(os.environ["WORLD_SIZE"]) == 1:
        yield Ranks(), device
        return
    if device.type not in ("cpu", "cuda"):
        raise TrunkError(f"Several ranks train on cpu or cuda, not on {device.type}; give --device cpu.")
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= cuda.device_count():
            raise TrunkError(
                f"torchrun started more ranks than the {cuda.device_count()} GPU(s) of this machine; give "
                f"--nproc-per-node {cuda.device_count()}, or --device cpu."
            )
        device = torch_device("cuda", local)
        cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()
