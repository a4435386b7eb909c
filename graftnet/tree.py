"""The project's tree: grafted branches, and their export as one bundle."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from branches.grafting import GraftedNet
from branches.records import load_branch, save_branch
from deployment.bundle import write_bundle
from deployment.contents import read_golden
from deployment.pt2 import write_pt2
from deployment.torch_source import write_source
from deployment.triton import write_repository
from foundation.files import read_json
from graftnet.cards import cards_of
from graftnet.errors import ConfigError
from graftnet.project import Project
from graftnet.serving import grafted, holding_tree, served
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
    trunk = open_trunk(project, torch.device("cpu"))
    folder = newest_on(project, attribute, trunk.fingerprint) or folder
    module, record = load_branch(folder / "branch")
    GraftedNet(trunk).graft_saved(folder / "branch")
    with holding_tree(project):
        if read_fingerprint(project.current_trunk) != trunk.fingerprint:
            raise ConfigError(f"The trunk was switched while {attribute} was to be grafted; call again.")
        destination = project.tree / attribute
        save_branch(destination, module, record)
    return destination


def read_fingerprint(trunk: Path) -> str:
    """The fingerprint in a trunk's folder."""
    return str(read_json(trunk / "trunk.json")["fingerprint"])


def newest_on(project: Project, attribute: str, fingerprint: str) -> Path | None:
    """The newest finished search on this trunk: while a switch is prepared, there are newer ones on another."""
    for folder in reversed(project.results(attribute)):
        if read_json(folder / "config.json").get("fingerprint") == fingerprint:
            return folder
    return None


def open_tree(project: Project) -> GraftedNet:
    """The trunk in use with every grafted branch, both as they are served at one moment."""
    now = served(project)
    net = GraftedNet(Trunk.load(project.trunks / now.version))
    for folder in grafted(project.runs / now.tree).values():
        net.graft_saved(folder)
    return net


def export_attributes(project: Project, attributes: Sequence[str], destination: Path) -> Path:
    """Write grafted branches and their trunk as one verified bundle."""
    now = served(project)
    trunk = Trunk.load(project.trunks / now.version)
    folders = []
    for attribute in attributes:
        folder = project.runs / now.tree / attribute
        if not (folder / "branch.json").exists():
            project.source(attribute)
            raise ConfigError(f"{attribute} is not grafted yet; run 'graftnet graft {attribute}' first.")
        folders.append(folder)
    images, cards = golden_images(project, trunk, attributes), cards_of(project, attributes)
    return write_bundle(trunk, folders, destination, images=images, cards=cards)


def export_as(project: Project, attributes: Sequence[str], target: str, destination: Path) -> Path:
    """Write grafted branches in another form: "triton", "torch" (a folder each) or "pt2" (one file)."""
    net = open_tree(project)
    assert isinstance(net.trunk, Trunk)
    with tempfile.TemporaryDirectory() as temporary:
        bundle = export_attributes(project, attributes, Path(temporary) / "bundle")
        if target == "triton":
            return write_repository(bundle, destination)
        if target == "torch":
            return write_source(net.trunk, bundle, destination)
        for name in set(net.attributes) - set(attributes):
            net.prune(name)
        images = read_golden(bundle / "golden.npz", ["images"])[0]
        return write_pt2(net, torch.from_numpy(images), destination)


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
