"""The project's tree: graft branches on it, export it, and add to or speed up a bundle made of it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from branches.grafting import GraftedNet
from branches.saved import RECORD, BranchRecord, BranchShape, load_branch, save_branch
from deployment.bundle.change import add_branch
from deployment.bundle.variants import Outcome, Trial, try_variant
from deployment.runtime.files import read_bundle
from deployment.runtime.images import read_normalised
from deployment.targets import TARGETS, Tree
from foundation.files import read_json_if_whole
from foundation.records import inside, read_json, read_record, reading
from graftnet.errors import ConfigError
from graftnet.project.folder import Project
from graftnet.trunks.served import holding_tree, require_own, served
from graftnet.trunks.versions import open_trunk
from nas.job.choosing.choice import KEPT
from reports.card import card_of
from reports.summaries.comparison import kind_of_result
from subdatasets.subdataset import Example
from trunk.records import TrunkShape
from trunk.trunk import Trunk

GOLDEN_IMAGES = 8
CALIBRATION = 64  # images
BATCH = 16


def graft_attribute(project: Project, attribute: str, choice: str | None = None) -> Path:
    """Put the newest result's branch into the project's tree.

    The branch is tried on the trunk first: one of another trunk is refused. No other branch's files are touched.

    Args:
        choice: another of the kinds that the search trained than the one that val chose.
    """
    folder = project.latest_search(attribute)
    if not (folder / "result.json").exists():
        raise ConfigError(
            f"The search of {attribute} is not finished; run 'graftnet search {attribute}' to continue it."
        )
    trunk = open_trunk(project, torch.device("cpu"))
    folder = newest_on(project, attribute, trunk.fingerprint) or folder
    source = branch_of(folder, attribute, choice)
    module, record = saved = load_branch(source)
    require_own(source, record.attribute, attribute)
    GraftedNet(trunk).graft_saved(saved)
    with holding_tree(project):
        if read_fingerprint(project.current_trunk) != trunk.fingerprint:
            raise ConfigError(f"The trunk was switched while {attribute} was to be grafted; call again.")
        destination = inside(project.tree, attribute)
        save_branch(destination, module, record)
    return destination


def branch_of(search: Path, attribute: str, choice: str | None) -> Path:
    """The folder of a search's result, or of another kind that it trained and kept.

    Raises:
        ConfigError: it kept none of this kind.
    """
    if choice is None:
        return search / "branch"
    kept = kept_branches(search)
    if choice not in kept:
        raise ConfigError(
            f"The search of {attribute} kept no {choice!r}, only {', '.join(kept)}; name one of these, or run "
            f"'graftnet search {attribute} --force', which keeps all that it trains."
        )
    return kept[choice]


def kept_branches(search: Path) -> dict[str, Path]:
    """Kind -> folder of every branch that a finished search kept, its result first."""
    chosen = kind_of_result(read_json(search / "result.json"))
    return {chosen: search / "branch"} | {
        path.parent.name: path.parent for path in sorted((search / KEPT).glob("[!.]*/branch.json"))
    }


def read_fingerprint(trunk: Path) -> str:
    """The fingerprint in a trunk's folder."""
    return str(read_record(trunk / "trunk.json", TrunkShape)["fingerprint"])


def newest_on(project: Project, attribute: str, fingerprint: str) -> Path | None:
    """The newest finished search on this trunk: while a switch is prepared, there are newer ones on another."""
    for folder in reversed(project.results(attribute)):
        path = folder / "config.json"
        with reading(path):
            theirs = read_json(path)["fingerprint"]
        if theirs == fingerprint:
            return folder
    return None


def export_attributes(project: Project, attributes: Sequence[str], destination: Path) -> Path:
    """Write grafted branches and their trunk as one verified bundle."""
    return export_as(project, attributes, "bundle", destination)


def export_as(project: Project, attributes: Sequence[str], target: str, destination: Path) -> Path:
    """Write grafted branches and their trunk in one of the forms of `deployment.targets.TARGETS`."""
    now = served(project)
    trunk = Trunk.load(project.trunks / now.version)
    folders = [grafted_branch(project, project.runs / now.tree, attribute) for attribute in attributes]
    images, cards = golden_images(project, trunk, attributes), cards_of(project, attributes)
    return TARGETS[target].write(Tree(trunk, folders, images, cards), destination)


def grafted_branch(project: Project, tree: Path, attribute: str) -> Path:
    """The folder of an attribute's branch in a tree.

    Raises:
        ConfigError: it is not grafted, or there is no such attribute.
    """
    if not (tree / attribute / "branch.json").exists():
        project.source(attribute)
        raise ConfigError(f"{attribute} is not grafted yet; run 'graftnet graft {attribute}' first.")
    folder = inside(tree, attribute)
    require_own(folder, read_record(folder / RECORD, BranchShape)["attribute"], attribute)
    return folder


def golden_images(project: Project, trunk: Trunk, attributes: Sequence[str]) -> torch.Tensor | None:
    """Eight of the project's own images, normalised, for a bundle's golden outputs; None where there are fewer."""
    sources = project.sources()
    for attribute in attributes:
        if attribute in sources:
            subdataset = project.read(attribute)
            chosen = (subdataset.split("test") + subdataset.split("val"))[:GOLDEN_IMAGES]
            if len(chosen) == GOLDEN_IMAGES:
                own = trunk.preprocessing
                return torch.stack([own.apply(own.read(example.path)) for example in chosen])
    return None


def cards_of(project: Project, attributes: Sequence[str]) -> dict[str, str]:
    """The text of each branch's ``card.md``; none for a branch whose search is gone."""
    searches = {name: search_of(project, name) for name in attributes}
    return {name: card_of(*found) for name, found in searches.items() if found is not None}


def search_of(project: Project, attribute: str) -> tuple[Path, str | None] | None:
    """The newest search that has the attribute's grafted branch: both tell the same of it, weights included.

    With it the kind, where that is not the one that val chose.
    """
    grafted = read_json_if_whole(project.tree / attribute / "branch.json")
    if not grafted:
        return None
    for search in reversed(project.results(attribute)):
        if read_json_if_whole(search / "branch" / "branch.json") == grafted:
            return search, None
        for path in sorted((search / KEPT).glob("[!.]*/branch.json")):
            if read_json_if_whole(path) == grafted:
                return search, path.parent.name
    return None


def grafted_kind(project: Project, attribute: str) -> str:
    """What kind of thing an attribute's grafted branch is; where its search is gone, as its record has it."""
    if found := search_of(project, attribute):
        search, kind = found
        return kind or kind_of_result(read_json(search / "result.json"))
    return BranchRecord.from_json(read_json(project.tree / attribute / RECORD)).kind


def add_to_bundle(project: Project, attribute: str, bundle: Path) -> str:
    """Export a grafted branch into a bundle that exists; returns the attribute."""
    folder = grafted_branch(project, project.tree, attribute)
    return add_branch(bundle, folder, card=cards_of(project, [attribute]).get(attribute))


def speed_up(project: Project, bundle: Path, kind: str, *, images: int, **how: Any) -> Outcome:
    """Try a variant of a bundle on the project's own images.

    It is calibrated on training images and judged on `images` val images per attribute at most. Test images are left
    alone.
    """
    index = read_bundle(bundle)
    subdatasets = {name: project.read(name) for name in index["branches"]}
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


def _spread(examples: Sequence[Example], count: int) -> list[Example]:
    """At most `count` of them, evenly spaced: values that lie in blocks are all met."""
    rows = np.linspace(0, len(examples) - 1, num=min(count, len(examples))).round().astype(int)
    return [examples[row] for row in rows]


def _batches(
    examples: list[Example], preprocessing: Mapping[str, Any]
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    for start in range(0, len(examples), BATCH):
        part = examples[start : start + BATCH]
        yield (
            np.stack([read_normalised(example.path, preprocessing) for example in part]),
            np.array([example.value for example in part], dtype=np.int64),
        )
