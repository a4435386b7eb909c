"""The device, chosen once, here; every room receives it as a value."""

from typing import TYPE_CHECKING

from graftnet.errors import ConfigError

if TYPE_CHECKING:
    import torch

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
