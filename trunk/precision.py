"""Number format in which the trunk computes: float32, or bfloat16 where the processor has instructions for it."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from trunk.errors import TrunkError

if TYPE_CHECKING:  # settings read the names, and need no torch
    import torch

PRECISIONS = ("auto", "float32", "bfloat16")


def resolve_precision(precision: str, device: "torch.device") -> str:
    """``auto`` -> ``bfloat16`` on CUDA and on CPUs with AVX512-BF16 or AMX, else ``float32``."""
    if precision not in PRECISIONS:
        raise TrunkError(f"precision must be one of {', '.join(PRECISIONS)}, is {precision!r}.")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if device.type == "cpu":
        cpuinfo = Path("/proc/cpuinfo")
        flags = cpuinfo.read_text() if cpuinfo.exists() else ""
        return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"
    return "float32"


def autocast(precision: str, device: "torch.device") -> AbstractContextManager[object]:
    """The context in which a forward pass runs at a resolved precision."""
    import torch

    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()
