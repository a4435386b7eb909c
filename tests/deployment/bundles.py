"""Small bundles for the tests of this room."""

from pathlib import Path

import numpy as np
import torch

from branches.branch import Branch
from branches.records import BranchRecord, save_branch
from search_spaces import macro_space
from trunk.backbones import build_small_cnn
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

SPACE = macro_space(2, widths=(4, 8))


def small_trunk(seed: int) -> Trunk:
    """A trunk of random weights for pictures of 16 x 16."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Trunk("small_cnn", build_small_cnn(), Preprocessing(16))


def save_small(
    folder: Path,
    trunk: Trunk,
    name: str,
    *,
    seed: int = 0,
    values: tuple[str, ...] = ("no", "yes"),
    depth: int = 4,
    threshold: float | None = 0.3,
) -> Path:
    """A branch of random architecture and weights, saved under `folder / name`."""
    architecture = SPACE.random(np.random.default_rng(seed))
    shape = trunk.feature_shape(depth)
    branch = Branch(architecture, shape, len(values), generator=torch.Generator().manual_seed(seed))
    record = BranchRecord(name, values, shape, depth, trunk.fingerprint, threshold=threshold, architecture=architecture)
    save_branch(folder / name, branch, record)
    return folder / name
