"""The project's tree: grafted branches, and their export as one bundle."""

from collections.abc import Sequence
from pathlib import Path

import torch

from branches.grafting import GraftedNet
from branches.records import load_branch, save_branch
from deployment.bundle import write_bundle
from graftnet.errors import ConfigError
from graftnet.project import Project
from graftnet.trunks import open_trunk
from subdatasets.contents import read_image
from subdatasets.subdataset import read_subdataset
from trunk.trunk import Trunk

GOLDEN_IMAGES = 8


def graft_attribute(project: Project, attribute: str) -> Path:
    """Put the newest result's branch into the project's tree.

    The branch is tried on the trunk first: one of another trunk is refused. No other branch's files are touched.
    """
    folder = project.latest_search(attribute)
    if not (folder / "result.json").exists():
        raise ConfigError(
            f"The search of {attribute} is not finished; run 'graftnet search {attribute}' to continue it."
        )
    module, record = load_branch(folder / "branch")
    net = GraftedNet(open_trunk(project, torch.device("cpu")))
    net.graft_saved(folder / "branch")
    destination = project.tree / attribute
    save_branch(destination, module, record)
    return destination


def export_attributes(project: Project, attributes: Sequence[str], destination: Path) -> Path:
    """Write grafted branches and their trunk as one verified bundle."""
    trunk: Trunk = open_trunk(project, torch.device("cpu"))
    folders = []
    for attribute in attributes:
        folder = project.tree / attribute
        if not (folder / "branch.json").exists():
            project.source(attribute)
            raise ConfigError(f"{attribute} is not grafted yet; run 'graftnet graft {attribute}' first.")
        folders.append(folder)
    return write_bundle(trunk, folders, destination, images=golden_images(project, trunk, attributes))


def golden_images(project: Project, trunk: Trunk, attributes: Sequence[str]) -> torch.Tensor | None:
    """Eight of the project's own images, normalised, for a bundle's golden outputs; None where there are fewer."""
    sources = project.sources()
    for attribute in attributes:
        if attribute in sources:
            subdataset = read_subdataset(sources[attribute], seed=project.config.project.seed)
            chosen = (subdataset.split("test") + subdataset.split("val"))[:GOLDEN_IMAGES]
            if len(chosen) == GOLDEN_IMAGES:
                return torch.stack([trunk.preprocessing.apply(read_image(example.path)) for example in chosen])
    return None
