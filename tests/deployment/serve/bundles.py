"""Bundles to serve: two branches, and the same with a third."""

import shutil
from pathlib import Path

from deployment.bundle import write_bundle
from deployment.bundle.change import add_branch
from tests.deployment.bundles import save_small, small_trunk

BRANCHES = {"bald": (("no", "yes"), 4, 0.3), "age.group": (("young", "old", "oldest"), 3, None)}
ADDED = "hat"


def two_branches(folder: Path) -> Path:
    """A bundle of BRANCHES under `folder`."""
    trunk = small_trunk(0)
    saved = [
        save_small(folder / "saved", trunk, name, seed=seed, values=values, depth=depth, threshold=threshold)
        for seed, (name, (values, depth, threshold)) in enumerate(BRANCHES.items())
    ]
    return write_bundle(trunk, saved, folder / "bundle")


def three_branches(two: Path, folder: Path) -> Path:
    """A copy of a bundle under `folder`, with the branch ADDED more."""
    larger = shutil.copytree(two, folder / "bundle")
    add_branch(larger, save_small(folder / "saved", small_trunk(0), ADDED, seed=7))
    return larger
