"""Provenance of a record: seeds of its parts, identity, date, command, installed versions and the machine."""

import hashlib
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def seed_of(seed: int, *labels: str | int) -> int:
    """A 63-bit seed from the search's seed and the names of the part; stable across machines and versions."""
    text = "/".join(str(label) for label in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


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


def identity_of(values: Mapping[str, Any]) -> str:
    """12 hex digits that name what is defined by these values."""
    text = json.dumps(dict(values), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def timestamp() -> str:
    """Now, in local time, as records keep it: ``2026-07-14T09:30:00``."""
    return time.strftime("%Y-%m-%dT%H:%M:%S")


def this_command() -> str:
    """The command line that runs, as it is typed."""
    return shlex.join(["graftnet", *sys.argv[1:]])


def versions() -> dict[str, str]:
    """The installed versions that a figure may depend on."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def machine(device: "torch.device") -> str:
    """Processor, cores and device, as a figure's footnote."""
    import torch  # only here: the ground that records stand on needs none

    cpuinfo = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    accelerator = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads{accelerator}"
