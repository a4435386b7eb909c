"""One run of a project's label graph, decided but not begun: what defines it, and therefore the name of its folder."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from foundation.provenance import identity_of, this_command
from graftnet.config import CONFIG_NAME
from graftnet.errors import ConfigError
from graftnet.graph_data import GraphData, branch_folders, joined
from graftnet.one_attribute import depth_of
from graftnet.project import Project
from graftnet.settings import graph_settings
from label_graph.settings import GraphSettings
from subdatasets.contents import content_hash, content_hashes
from subdatasets.subdataset import read_subdataset
from trunk.precision import resolve_precision
from trunk.trunk import Trunk


@dataclass(frozen=True)
class GraphPlan:
    """branches: attribute -> folder of the branch that the graph is compared with. words: the file of word vectors.

    identity: what defines the run; another plan with the same finds the same folder.
    """

    project: Project
    data: GraphData
    settings: GraphSettings
    branches: dict[str, Path]
    words: Path | None
    identity: dict[str, Any]
    command: str

    @property
    def depth(self) -> int:
        """Blocks of the trunk that the features come from."""
        value: int = self.identity["freeze_depth"]
        return value

    @property
    def folder(self) -> Path:
        """Where the run is, or will be."""
        return self.project.label_graphs / identity_of(self.identity)

    @property
    def finished(self) -> bool:
        """Whether its result is there; ``result.json`` is written last."""
        return (self.folder / "result.json").exists()


def plan_graph(
    project: Project, trunk: Trunk, attributes: Sequence[str], *, seed: int, device: torch.device
) -> GraphPlan:
    """Read and join the sub-datasets of these attributes (none named: of all); no image passes the trunk.

    Raises:
        ConfigError: a setting cannot be used, or there are not two labels. DataError: a sub-dataset cannot be used.
    """
    names = list(dict.fromkeys(attributes)) or project.questions()
    subdatasets = [read_subdataset(project.source(name), seed=project.config.project.seed) for name in names]
    hashes = content_hashes([example.path for subdataset in subdatasets for example in subdataset.examples])
    data = joined(subdatasets, hashes)
    if len(data.labels) < 2:
        raise ConfigError(f"A label graph needs two labels or more, {names[0]} is one; name more attributes.")
    settings = graph_settings(project.config, seed=seed)
    words = words_of(project) if settings.nodes == "words" else None
    branches = branch_folders(project, trunk, names)
    identity = {
        "labels": [list(vars(label).values()) for label in data.labels],
        "data": {each.attribute.name: each.digest(hashes) for each in subdatasets},
        "fingerprint": trunk.fingerprint,
        "freeze_depth": trunk.check_depth(depth_of(project.config)),
        "feature_precision": resolve_precision(project.config.trunk.feature_precision, device),
        "settings": asdict(settings),
        "words": content_hash(words) if words else None,
        "branches": {name: weights_of(folder) for name, folder in branches.items()},
        "seed": seed,
        "device": device.type,
    }
    return GraphPlan(project, data, settings, branches, words, identity, this_command())


def words_of(project: Project) -> Path:
    """The file of word vectors; a relative name counts from the project's folder.

    Raises:
        ConfigError: none is named, or it is not there.
    """
    name = project.config.label_graph.words
    path = project.folder / Path(name).expanduser()
    if not name or not path.is_file():
        raise ConfigError(
            f"{project.folder / CONFIG_NAME}: label_graph.nodes is 'words', which needs a file of word vectors; "
            f"{f'there is no {path}' if name else 'name one in label_graph.words'}."
        )
    return path


def weights_of(folder: Path) -> str:
    """SHA-256 of a branch's weights: what tells two branches apart."""
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
