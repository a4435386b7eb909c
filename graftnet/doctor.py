"""What this machine has for GraftNet: versions, devices, cores, memory, disk, and the packages that are missing."""

import os
import platform
import shutil
import sys
from importlib import metadata, util
from pathlib import Path
from typing import Any

from graftnet.packages import CORE, EXTRAS
from graftnet.version import __version__

GIB = 2**30
NEEDED_DISK = 5 * GIB


def examine() -> dict[str, Any]:
    """Look around; plain values, JSON-able. Sizes are in bytes."""
    return {
        "graftnet": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: version_of(name) for name in CORE},
        "devices": find_devices(),
        "cores": usable_cores(),
        "memory": total_memory(),
        "disk_free": shutil.disk_usage(Path.cwd()).free,
        "missing": {extra.name: missing_modules(extra.modules) for extra in EXTRAS if missing_modules(extra.modules)},
    }


def version_of(package: str) -> str | None:
    """An installed distribution's version, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def missing_modules(modules: tuple[str, ...]) -> list[str]:
    """Those of ``modules`` that cannot be imported here (they are looked for, not imported)."""
    return [module for module in modules if util.find_spec(module) is None]


def find_devices() -> list[str]:
    """The devices that PyTorch can use; the processor alone where PyTorch is missing."""
    try:
        import torch
    except ImportError:
        return ["cpu"]
    gpus = [
        f"cuda:{n} {torch.cuda.get_device_name(n)}, {torch.cuda.get_device_properties(n).total_memory / GIB:.0f} GiB"
        for n in range(torch.cuda.device_count())
    ]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_memory() -> int | None:
    """Bytes of main memory, or None where the system does not say."""
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def examination_lines(record: dict[str, Any]) -> list[str]:
    """The examination for a person, and what to do about what is missing."""
    absent = [name for name, version in record["packages"].items() if version is None]
    lines = [
        f"graftnet {record['graftnet']}, Python {record['python']}, {record['system']}",
        "packages   " + ", ".join(f"{name} {version}" for name, version in record["packages"].items() if version),
        "devices    " + "; ".join(record["devices"]),
        f"cores      {record['cores']}",
        f"memory     {gib(record['memory'])}",
        f"disk       {gib(record['disk_free'])} free here",
    ]
    if record["disk_free"] < NEEDED_DISK:
        lines.append(f"warning: caches and searches of a real project need more than {gib(NEEDED_DISK)}; free some.")
    if absent:
        lines.append(f"warning: {', '.join(absent)} missing; every command may fail: pip install --editable .")
    purposes = {extra.name: extra.purpose for extra in EXTRAS}
    for name, modules in record["missing"].items():
        lines.append(f"optional   {', '.join(modules)} missing, for {purposes[name]}: pip install 'graftnet[{name}]'")
    return lines


def gib(size: int | None) -> str:
    """Bytes in GiB."""
    return "unknown" if size is None else f"{size / GIB:.1f} GiB"
