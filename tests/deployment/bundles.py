"""Small bundles for the tests of this room."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from branches.branch import Branch
from branches.saved import BranchRecord, save_branch
from search_spaces import Architecture, macro_space
from trunk.backbones.chain import build_small_cnn
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

SPACE = macro_space(2, widths=(4, 8))


def small_trunk(seed: int) -> Trunk:
    """A trunk of random weights for pictures of 16 x 16."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        chain = build_small_cnn()
        settle(chain, noise())
        return Trunk("small_cnn", chain, Preprocessing(16))


def noise() -> torch.Tensor:
    """Eight random pictures (8, 3, 16, 16), always the same."""
    return torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def settle(module: nn.Module, inputs: torch.Tensor) -> None:
    """Norms take the statistics of these inputs: with those they are made with, the maps of random weights vanish."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.momentum = 1.0
    module.train()(inputs)
    module.eval()


def save_small(
    folder: Path,
    trunk: Trunk,
    name: str,
    *,
    seed: int = 0,
    values: tuple[str, ...] = ("no", "yes"),
    depth: int = 4,
    threshold: float | None = 0.3,
    calibration: dict[str, Any] | None = None,
    architecture: Architecture | None = None,
) -> Path:
    """A branch of random architecture (or of this one) and weights, saved under `folder / name`."""
    architecture = architecture or SPACE.random(np.random.default_rng(seed))
    shape = trunk.feature_shape(depth)
    branch = Branch(architecture, shape, len(values), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        settle(branch, trunk(noise(), depth))
    record = BranchRecord(
        name,
        values,
        shape,
        depth,
        trunk.fingerprint,
        threshold=threshold,
        architecture=architecture,
        calibration=calibration,
    )
    save_branch(folder / name, branch, record)
    return folder / name
