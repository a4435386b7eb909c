"""Switch the trunk's version: make every grafted branch anew beside the old, then change over all at once or not.

What is served stays whole throughout: the new branches and the new tree are written to places of their own, and one
rename (:mod:`graftnet.trunks.served`) changes over. A killed switch is continued by calling it again.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from branches.grafting import GraftedNet
from branches.saved import BranchRecord, load_branch, save_branch
from foundation.files import write_json
from foundation.folders import replaced_folder
from foundation.history import Progress
from foundation.locks import only_one
from foundation.provenance import timestamp
from graftnet.errors import ConfigError
from graftnet.project.folder import Project
from graftnet.project.overrides import Overrides, overridden
from graftnet.searches.features import whole_data
from graftnet.searches.renew import renew
from graftnet.searches.run import search_attribute
from graftnet.searches.side_by_side import Figures, Renewed, compare_branches
from graftnet.terminal.failures import explain
from graftnet.trunks.served import Served, contents, grafted, holding_tree, require_own, serve, served
from graftnet.trunks.versions import open_trunk
from trunk.trunk import Trunk

RECORD = "switch.json"


@dataclass(frozen=True)
class Prepared:
    """Every grafted branch made anew on ``version``. tree: what was grafted meanwhile, file by file, to be compared."""

    now: Served
    version: str
    metric: str
    branches: tuple[Renewed, ...]
    tree: Mapping[str, Mapping[str, str]]

    @property
    def failed(self) -> list[Renewed]:
        return [branch for branch in self.branches if branch.error]

    def fallen(self, most: float) -> list[Renewed]:
        """The branches whose metric on val fell by more than this."""
        both = [(branch, branch.value("old", "val"), branch.value("new", "val")) for branch in self.branches]
        return [branch for branch, old, new in both if old is not None and new is not None and old - new > most]

    def refusal(self, most: float | None = None) -> str:
        """Why there is no changing over, in a sentence; empty where nothing stands against it."""
        if self.failed:
            names = ", ".join(branch.attribute for branch in self.failed)
            return (
                f"Not switched, for {len(self.failed)} of {len(self.branches)} branches failed ({names}): do what the "
                f"figures' lines say and call again; a branch that is not wanted any more is a folder of "
                f"runs/{self.now.tree} to delete."
            )
        fallen = [] if most is None else self.fallen(most)
        if fallen:
            names = ", ".join(branch.attribute for branch in fallen)
            return f"Not switched, for the val {self.metric} of {names} fell by more than {most:g} (--max-drop)."
        return ""

    def record(self) -> dict[str, Any]:
        """Plain values for --json and for ``switch.json``."""
        head = {"from": self.now.version, "to": self.version, "metric": self.metric}
        return {**head, "branches": [branch.record() for branch in self.branches]}


def prepare(
    project: Project, version: str, *, search: bool, seed: int, device: torch.device, progress: Progress | None = None
) -> Prepared:
    """Make every grafted branch anew on ``version``, or continue; one that fails does not keep the others from it.

    Args:
        search: search each one's architecture again, instead of training the one it has.

    Raises:
        ConfigError: this version is in use already. UserError: another process prepares a switch to it.
    """
    now = served(project)
    if version == now.version:
        raise ConfigError(f"Trunk {version} is in use already; train another with `graftnet trunk train`.")
    metric = project.config.search.reward
    old, new = replace(project, version=now.version), replace(project, version=version)
    old_trunk, new_trunk = Trunk.load(old.current_trunk).to(device), open_trunk(new, device)
    tree = project.runs / now.tree
    state = contents(tree)

    def attempt(attribute: str, folder: Path) -> Renewed:
        figures: Mapping[str, Figures | None] = {}
        try:
            record = load_branch(folder)[1]
            require_own(folder, record.attribute, attribute)
            figures = record.metrics
            branch = made_anew(new, new_trunk, record, search=search, seed=seed, progress=progress)
            both = (old, old_trunk, folder), (new, new_trunk, branch)
            return compare_branches(*both, metric, seed=seed, progress=progress)
        except Exception as error:
            return Renewed(attribute, metric, figures, error=explain(error, project.runs)[0])

    with only_one(new.current_trunk / "branches"):
        branches = tuple(attempt(attribute, folder) for attribute, folder in grafted(tree).items())
    return Prepared(now, version, metric, branches, state)


def made_anew(
    view: Project, trunk: Trunk, record: BranchRecord, *, search: bool, seed: int, progress: Progress | None
) -> Path:
    """The folder of the new branch of this attribute; what was chosen by hand is trained again, never searched."""
    by_hand = record.kind == "tail" and record.architecture is not None
    if search and not by_hand:
        device = next(trunk.parameters()).device
        view = overridden(view, Overrides(branch="searched", freeze_depth=record.freeze_depth))
        folder = search_attribute(view, record.attribute, seed=seed, device=device, progress=progress)
    else:
        data = whole_data(view, trunk, record.attribute, record.freeze_depth)
        folder = renew(data, record, seed=seed, progress=progress)
    return folder / "branch"


def change_over(project: Project, prepared: Prepared) -> Served:
    """Plant the new tree and serve it, with its trunk, from now on.

    Raises:
        ConfigError: a branch failed, or the project changed since it was prepared; nothing changes then.
    """
    if refusal := prepared.refusal():
        raise ConfigError(refusal)
    trees = project.runs / "trees"
    with only_one(trees / "planting"):
        for leftover in trees.glob(".*.part"):
            shutil.rmtree(leftover)
        folder = next_tree(trees, prepared.version)
        plant(project, prepared, folder)
        new = Served(prepared.version, folder.relative_to(project.runs).as_posix())
        with holding_tree(project):
            now = served(project)
            if now != prepared.now or contents(project.runs / now.tree) != prepared.tree:
                raise ConfigError("Another process grafted a branch or switched the trunk meanwhile; call again.")
            serve(project, new)
    return new


def plant(project: Project, prepared: Prepared, folder: Path) -> None:
    """Write the new tree as a whole, each branch tried on the new trunk."""
    net = GraftedNet(Trunk.load(project.trunks / prepared.version))
    with replaced_folder(folder, RECORD) as written:
        for renewed in prepared.branches:
            assert renewed.branch is not None
            module, record = load_branch(renewed.branch)
            save_branch(written / renewed.attribute, module, record)
            net.graft_saved(written / renewed.attribute)
        write_json(written / RECORD, {**prepared.record(), "created": timestamp()})


def next_tree(trees: Path, version: str) -> Path:
    """A folder that no tree had before: one that was served and left must stay as it was."""
    taken = {path.name for path in trees.iterdir()} if trees.is_dir() else set()
    number = next(number for number in range(1, len(taken) + 2) if f"{version}-{number}" not in taken)
    return trees / f"{version}-{number}"
