"""The project's tree: grafted branches, and their export as one bundle."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from branches.grafting import GraftedNet
from branches.saved import load_branch, save_branch
from deployment.bundle.change import add_branch
from deployment.bundle.variants import Outcome, Trial, try_variant
from deployment.runtime.files import read_bundle
from deployment.runtime.images import read_normalised
from deployment.targets import TARGETS, Tree
from foundation.files import read_json_if_whole
from foundation.records import inside, read_json, read_record
from graftnet.errors import ConfigError
from graftnet.project.folder import Project
from graftnet.project.settings import seed_or
from graftnet.searches.queue import plan_job
from graftnet.searches.standing import changes_since
from graftnet.trunks.served import grafted, holding_tree, require_own, served
from graftnet.trunks.versions import open_trunk
from reports.card import card_of
from subdatasets.image_files import read_image
from subdatasets.subdataset import Example, read_subdataset
from trunk.records import TrunkShape
from trunk.trunk import Trunk

GOLDEN_IMAGES = 8
DEVICES = ("cpu", "cuda", "mps")


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
    module, record = saved = load_branch(folder / "branch")
    require_own(folder / "branch", record.attribute, attribute)
    GraftedNet(trunk).graft_saved(saved)
    with holding_tree(project):
        if read_fingerprint(project.current_trunk) != trunk.fingerprint:
            raise ConfigError(f"The trunk was switched while {attribute} was to be grafted; call again.")
        destination = inside(project.tree, attribute)
        save_branch(destination, module, record)
    return destination


def not_current(project: Project, attribute: str) -> str:
    """The sentence where the result that is grafted answers something else than is asked now; empty where it does not.

    It is grafted all the same: whoever asks for it knows what it is.
    """
    trunk = open_trunk(project, torch.device("cpu"))
    folder = newest_on(project, attribute, trunk.fingerprint) or project.latest_search(attribute)
    asked = read_json_if_whole(folder / "config.json")
    seed, device = asked.get("seed"), asked.get("device")
    job = plan_job(
        project,
        trunk,
        attribute,
        seed=seed_or(seed if isinstance(seed, int) else None, project),
        device=torch.device(device if device in DEVICES else "cpu"),
        hashes={},
    )
    if job.plan is None:
        return f"Whether the result of {attribute} is current cannot be told: {job.error}"
    if job.plan.folder == folder:
        return ""
    why = "; ".join(changes_since(folder, job.plan.identity))
    return (
        f"The result of {attribute} that was grafted ({folder.name}) is not current{f' ({why})' if why else ''}; run "
        f"`graftnet search {attribute}`, and graft again, for one that is."
    )


def read_fingerprint(trunk: Path) -> str:
    """The fingerprint in a trunk's folder."""
    return str(read_record(trunk / "trunk.json", TrunkShape)["fingerprint"])


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
    for name, folder in grafted(project.runs / now.tree).items():
        require_own(folder, net.graft_saved(folder), name)
    return net


def export_attributes(project: Project, attributes: Sequence[str], destination: Path) -> Path:
    """Write grafted branches and their trunk as one verified bundle."""
    return export_as(project, attributes, "bundle", destination)


def export_as(project: Project, attributes: Sequence[str], target: str, destination: Path) -> Path:
    """Write grafted branches and their trunk in one of the forms of `deployment.targets.TARGETS`."""
    now = served(project)
    trunk = Trunk.load(project.trunks / now.version)
    folders = []
    for attribute in attributes:
        folder = project.runs / now.tree / attribute
        if not (folder / "branch.json").exists():
            project.source(attribute)
            raise ConfigError(f"{attribute} is not grafted yet; run 'graftnet graft {attribute}' first.")
        require_own(folder, str(read_json(folder / "branch.json").get("attribute")), attribute)
        folders.append(folder)
    images, cards = golden_images(project, trunk, attributes), cards_of(project, attributes)
    return TARGETS[target].write(Tree(trunk, folders, images, cards), destination)


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


def cards_of(project: Project, attributes: Sequence[str]) -> dict[str, str]:
    """The text of each branch's ``card.md``; none for a branch whose search is gone."""
    searches = {name: search_of(project, name) for name in attributes}
    return {name: card_of(search) for name, search in searches.items() if search is not None}


def search_of(project: Project, attribute: str) -> Path | None:
    """The newest search whose winner is the attribute's grafted branch: both tell the same of it, weights included."""
    grafted = read_json_if_whole(project.tree / attribute / "branch.json")
    if not grafted:
        return None
    searches = reversed(project.results(attribute))
    return next((one for one in searches if read_json_if_whole(one / "branch" / "branch.json") == grafted), None)


CALIBRATION = 64

BATCH = 16


def add_to_bundle(project: Project, attribute: str, bundle: Path) -> str:
    """Export a grafted branch into a bundle that exists; returns the attribute."""
    folders = grafted(project.tree)
    if attribute not in folders:
        project.source(attribute)
        raise ConfigError(f"{attribute} is not grafted yet; run 'graftnet graft {attribute}' first.")
    require_own(folders[attribute], str(read_json(folders[attribute] / "branch.json").get("attribute")), attribute)
    return add_branch(bundle, folders[attribute], card=cards_of(project, [attribute]).get(attribute))


def speed_up(project: Project, bundle: Path, kind: str, *, images: int, **how: Any) -> Outcome:
    """Try a variant of a bundle on the project's own images.

    It is calibrated on training images and judged on `images` val images per attribute at most. Test images are left
    alone.
    """
    index = read_bundle(bundle)
    subdatasets = {
        name: read_subdataset(project.source(name), seed=project.config.project.seed) for name in index["branches"]
    }
    preprocessing = index["preprocessing"]
    share = -(-CALIBRATION // len(subdatasets))
    chosen = [example for data in subdatasets.values() for example in _spread(data.split("train"), share)]
    labelled = {}
    for name, data in subdatasets.items():
        if list(data.attribute.values) != index["branches"][name]["values"]:
            raise ConfigError(
                f"{name} has other values in this project than in {bundle}; name the bundle's own project."
            )
        labelled[name] = partial(_batches, _spread(data.split("val"), images), preprocessing)
    calibration = [batch for batch, _ in _batches(chosen[:CALIBRATION], preprocessing)]
    return try_variant(bundle, kind, Trial(calibration=calibration, labelled=labelled, **how))


def _spread(examples: tuple[Example, ...], count: int) -> list[Example]:
    """At most `count` of them, evenly spaced: values that lie in blocks are all met."""
    places = np.linspace(0, len(examples) - 1, num=min(count, len(examples))).round().astype(int)
    return [examples[place] for place in places]


def _batches(
    examples: list[Example], preprocessing: Mapping[str, Any]
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    for start in range(0, len(examples), BATCH):
        part = examples[start : start + BATCH]
        yield (
            np.stack([read_normalised(example.path, preprocessing) for example in part]),
            np.array([example.value for example in part], dtype=np.int64),
        )
