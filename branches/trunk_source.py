"""A trunk as plain torch source: its blocks traced by torch.fx, with the map after each depth that branches sit at."""

from collections.abc import Sequence

from torch import Tensor, nn

from branches.tail_source import Written
from trunk.trunk import Trunk, tail_modules

TEMPLATE = '''\
"""The trunk: normalised images in, the maps that the branches read out, by depth.

Images: float32 (N, 3, {size}, {size}), scaled to 0..1, then (x - mean) / std with mean {mean} and std {std}.
Needs torch and safetensors only. Written by GraftNet from {backbone}.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

FINGERPRINT = "{fingerprint}"
DEPTHS = {depths}


class Trunk(nn.Module):
    """The first {deepest} blocks of {backbone}."""

    def __init__(self) -> None:
        super().__init__()
{constructor}

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Images (N, 3, {size}, {size}) -> {{depth: map (N, C, H, W)}}."""
        features = images
{body}


def load(folder: str | Path = Path(__file__).parent) -> Trunk:
    """The trunk with its weights, ready to run."""
    trunk = Trunk()
    trunk.load_state_dict(load_file(Path(folder) / "trunk.safetensors"))
    return trunk.eval()
'''


def trunk_source(trunk: Trunk, depths: Sequence[int]) -> tuple[str, dict[str, Tensor]]:
    """(text of trunk.py, its weights). Raises: BranchError for a backbone with parts that cannot be written."""
    written = Written(_Maps(trunk, depths))
    body = [*written.lines, f"return dict(zip(DEPTHS, {written.result}, strict=True))"]
    preprocessing = trunk.preprocessing
    text = TEMPLATE.format(
        size=preprocessing.size,
        mean=preprocessing.mean,
        std=preprocessing.std,
        backbone=trunk.backbone,
        fingerprint=trunk.fingerprint,
        depths=tuple(depths),
        deepest=max(depths),
        constructor="\n".join(f"        {line}" for line in written.constructor),
        body="\n".join(f"        {line}" for line in body),
    )
    return text, written.weights


class _Maps(nn.Module):
    """The blocks one after the other, as torch.fx traces them: images -> the maps after these depths, rising."""

    def __init__(self, trunk: Trunk, depths: Sequence[int]) -> None:
        super().__init__()
        self.ends = []
        for depth in range(max(depths)):
            for name, module in tail_modules(trunk.chain, depth, depth + 1):
                self.add_module(name.replace(".", "_"), module)
            self.ends.append(len(self._modules))
        self.wanted = [self.ends[depth - 1] for depth in depths]

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for number, module in enumerate(self.children(), start=1):
            features = module(features)
            if number in self.wanted:
                maps.append(features)
        return tuple(maps)
