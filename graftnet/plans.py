"""One search, decided but not begun: what defines it, and therefore the name of its folder."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from foundation.files import jsonable
from foundation.provenance import identity_of, this_command
from graftnet.by_hand import settings_on
from graftnet.config import FeaturesTable
from graftnet.featuring import check_values, contents_in_order, order_of
from graftnet.one_attribute import depth_of, project_of
from graftnet.project import Project
from nas.settings import BY_HAND, JobSettings
from subdatasets.contents import content_hashes
from subdatasets.subdataset import SubDataset, read_subdataset
from trunk.precision import resolve_precision
from trunk.trunk import Trunk


@dataclass(frozen=True)
class SearchPlan:
    """Plain values, so that another process, or another machine that sees the project's folder, can carry it out.

    hashes: the content hash of every image. identity: what defines the search (data, trunk, settings, seed, device);
    another plan with the same finds the same folder. command: the command line that asked for it.
    """

    project: Project
    subdataset: SubDataset
    hashes: dict[Path, str]
    settings: JobSettings
    identity: dict[str, Any]
    command: str

    @property
    def attribute(self) -> str:
        return self.subdataset.attribute.name

    @property
    def depth(self) -> int:
        """Blocks of the trunk that the features come from."""
        value: int = self.identity["freeze_depth"]
        return value

    @property
    def by_hand(self) -> bool:
        """Whether the branch is chosen by hand, and nothing searched."""
        return self.settings.strategy == BY_HAND

    @property
    def folder(self) -> Path:
        """Where the search is, or will be."""
        return self.project.searches(self.attribute) / identity_of(self.identity)

    @property
    def finished(self) -> bool:
        """Whether its result is there; ``result.json`` is written last."""
        return (self.folder / "result.json").exists()

    def make_newest(self) -> None:
        """Let reports and grafts, which take the newest result, take this one: it is what was asked for last."""
        if self.project.results(self.attribute)[-1] != self.folder:
            os.utime(self.folder / "result.json")


def plan_search(
    project: Project,
    trunk: Trunk,
    attribute: str,
    *,
    seed: int,
    device: torch.device,
    hashes: Mapping[Path, str] | None = None,
) -> SearchPlan:
    """Read the sub-dataset and hash its images; no image passes the trunk.

    Args:
        hashes: content hashes that are known already; only other images are read.

    Raises:
        DataError: the sub-dataset cannot be used. ConfigError, TrunkError: a setting cannot.
    """
    project = project_of(project, attribute)
    depth = trunk.check_depth(depth_of(project.config))
    settings = settings_on(project.config, trunk, device)
    subdataset = read_subdataset(project.source(attribute), seed=project.config.project.seed)
    check_values(subdataset)
    known = hashes or {}
    paths = [example.path for example in subdataset.examples]
    fresh = content_hashes([path for path in paths if path not in known])
    used = {path: known[path] if path in known else fresh[path] for path in paths}
    identity = {
        "attribute": attribute,
        "values": list(subdataset.attribute.values),
        "data": subdataset.digest(used),
        "order": order_of(contents_in_order(subdataset, used)),
        "feature_precision": resolve_precision(project.config.trunk.feature_precision, device),
        "fingerprint": trunk.fingerprint,
        "freeze_depth": depth,
        "seed": seed,
        "device": device.type,
        **about_features(project.config.features),
        **described(settings),
    }
    from graftnet.warming import resumed

    return resumed(SearchPlan(project, subdataset, used, settings, identity, this_command()))


def about_features(table: FeaturesTable) -> dict[str, Any]:
    """Views and storage where they are not the default, so that searches from before there were any stay current."""
    usual = FeaturesTable()
    given = {"views": list(table.views), "storage": table.storage}
    return {key: value for key, value in given.items() if value not in (list(usual.views), usual.storage)}


def described(settings: JobSettings) -> dict[str, Any]:
    """A job's settings as plain values: what names its folder, and what ``config.json`` shows."""
    values = {key: value for key, value in asdict_shallow(settings).items() if key != "space"}
    space = {"name": settings.space.name, "settings": jsonable(settings.space.settings)}
    return {"settings": {**values, "space": space}}


def asdict_shallow(settings: JobSettings) -> dict[str, Any]:
    """The fields of the settings, with nested settings as dictionaries."""
    return {
        key: asdict(value) if hasattr(value, "__dataclass_fields__") and key != "space" else value
        for key, value in vars(settings).items()
    }
