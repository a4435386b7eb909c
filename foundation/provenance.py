"""What a figure may depend on beside its settings: the command, installed versions and the machine."""

import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PACKAGES = (
    "graftnet",
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "scikit-learn",
    "nni",
    "optuna",
    "pytorch-lightning",
    "onnxruntime",
)


def this_command() -> str:
    """The command line that runs, as it is typed."""
    return shlex.join(["graftnet", *sys.argv[1:]])


def versions() -> dict[str, str]:
    """The installed versions that a figure may depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine(device: "torch.device") -> str:
    """Processor, cores and device, as a figure's footnote."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    accelerator = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads{accelerator}"
