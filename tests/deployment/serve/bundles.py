"""A bundle of a few kilobytes that is quick to write, and clients for an application over it."""

from pathlib import Path

import numpy as np
import torch

from branches.branch import Branch
from branches.records import BranchRecord, save_branch
from deployment.bundle import write_bundle
from search_spaces import macro_space
from trunk.backbones import build_small_cnn
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

SPACE = macro_space(2, widths=(4, 8))
BRANCHES = {"bald": (("no", "yes"), 4, 0.3), "age.group": (("young", "old", "oldest"), 3, None)}
ADDED = {"hat": (("no", "yes"), 4, 0.5)}


def small_trunk() -> Trunk:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Trunk("small_cnn", build_small_cnn(), Preprocessing(16))


def make_bundle(destination: Path, branches: dict[str, tuple[tuple[str, ...], int, float | None]]) -> Path:
    """Branches with seeded weights on a seeded trunk, as a bundle."""
    trunk = small_trunk()
    saved = []
    for seed, (name, (values, depth, threshold)) in enumerate(branches.items()):
        architecture = SPACE.random(np.random.default_rng(seed))
        shape = trunk.feature_shape(depth)
        branch = Branch(architecture, shape, len(values), generator=torch.Generator().manual_seed(seed))
        record = BranchRecord(
            name, values, shape, depth, trunk.fingerprint, threshold=threshold, architecture=architecture
        )
        save_branch(destination.parent / "saved" / name, branch, record)
        saved.append(destination.parent / "saved" / name)
    return write_bundle(trunk, saved, destination)
