"""Number format in which the trunk computes: float32, or bfloat16 where the processor has instructions for it."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from trunk.errors import TrunkError
from trunk.pretrain_settings import PRECISIONS


def resolve_precision(precision: str, device: torch.device) -> str:
    """``auto`` -> ``bfloat16`` on CUDA and on CPUs with AVX512-BF16 or AMX, else ``float32``."""
    if precision not in PRECISIONS:
        raise TrunkError(f"precision must be one of {', '.join(PRECISIONS)}, is {precision!r}.")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if device.type == "cpu":
        cpuinfo = Path("/proc/cpuinfo")
        flags = cpuinfo.read_text() if cpuinfo.exists() else ""
        return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"
    return "float32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a forward pass runs at a resolved precision."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()
