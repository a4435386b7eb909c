"""Data and plan of a project's label graph: attributes joined on image content, pooled features, branches' scores."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from branches.saved import load_branch
from branches.training import predict_scores
from foundation.bounds import recorded
from foundation.history import Progress
from foundation.provenance import identity_of, this_command
from graftnet.bundles.tree import newest_on
from graftnet.errors import ConfigError
from graftnet.project.config import CONFIG_NAME
from graftnet.project.folder import Project
from graftnet.project.settings import depth_of, graph_settings
from graftnet.searches.features import cache_of
from graftnet.trunks.advice import chosen_depth
from graftnet.trunks.precision import feature_precision
from label_graph.building import LabelledPool
from label_graph.classifier import PooledFeatures, pool_features
from label_graph.gain import few_labels
from label_graph.saved import Label
from label_graph.settings import GraphSettings
from subdatasets.image_files import content_hash
from subdatasets.labels.join import join_subdatasets
from subdatasets.labels.table import UNKNOWN, LabelTable
from subdatasets.subdataset import SubDataset, image_hashes
from trunk.features.cache import FeatureCache
from trunk.features.cached import CachedFeatures
from trunk.features.estimate import estimate_fill, require_room
from trunk.trunk import Trunk


@dataclass(frozen=True, eq=False)
class GraphData:
    """Every distinct image of the sub-datasets and what is known of it.

    table: N images, L labels. contents: (N,), each image's SHA-256. labels: (L,), of which attribute each is.
    """

    table: LabelTable
    contents: tuple[str, ...]
    labels: tuple[Label, ...]

    @property
    def paths(self) -> dict[str, Path]:
        """The content of each image -> its file."""
        return dict(zip(self.contents, self.table.images, strict=True))

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """The rows of one split."""
        return np.flatnonzero(np.array(self.table.splits) == split)

    def columns(self, attribute: str) -> list[int]:
        """The columns of one attribute's labels."""
        return [column for column, label in enumerate(self.labels) if label.attribute == attribute]

    def pool(self, features: PooledFeatures, split: str) -> LabelledPool:
        """One split, as the training of a label graph takes it."""
        rows = self.rows(split)
        return LabelledPool(features.rows(torch.from_numpy(rows)), self.table.states[rows])


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
    def few_sentence(self) -> str:
        """What to say before val and test are asked more than so few images can tell; empty where there are enough."""
        table = self.data.table
        states = {split: table.states[self.data.rows(split)] for split in ("val", "test")}
        return few_labels(states, table.labels)

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
    project: Project, trunk: Trunk, attributes: Sequence[str], *, seed: int, device: torch.device, force: bool = False
) -> GraphPlan:
    """Read and join the sub-datasets of these attributes (none named: of all); no image passes the trunk.

    A run of before a probe advised another depth is planned again, unless ``force``: advice makes nothing stale.

    Raises:
        ConfigError: a setting cannot be used, or there are not two labels. DataError: a sub-dataset cannot be used.
    """
    names = list(dict.fromkeys(attributes)) or project.questions()
    subdatasets = [project.read(name) for name in names]
    hashes = image_hashes(subdatasets, memory=project.memory)
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
        "feature_precision": feature_precision(project, trunk, device),
        "settings": recorded(settings),
        "words": content_hash(words) if words else None,
        "branches": {name: weights_of(folder) for name, folder in branches.items()},
        "seed": seed,
        "device": device.type,
    }
    choice = chosen_depth(project, trunk.fingerprint)
    plans = [
        GraphPlan(project, data, settings, branches, words, identity | {"freeze_depth": depth}, this_command())
        for depth in dict.fromkeys(map(trunk.check_depth, (choice.depth, depth_of(project.config))))
    ]
    if force or not choice.measured:
        return plans[0]
    begun = [plan for plan in plans if plan.folder.is_dir()]
    return next((plan for plan in begun if plan.finished), begun[0] if begun else plans[0])


def joined(subdatasets: Sequence[SubDataset], hashes: Mapping[Path, str]) -> GraphData:
    """Join sub-datasets on image content; an image that any attribute holds out trains none.

    What an attribute says of such an image in another split than that becomes unknown: its branch may have been trained
    on it, and would be measured on what it knows.

    Raises:
        DataError: there is no sub-dataset.
    """
    table = join_subdatasets(subdatasets, hashes=hashes)
    contents = tuple(hashes[path] for path in table.images)
    row_of = {content: row for row, content in enumerate(contents)}
    states, first = table.states.copy(), 0
    labels: list[Label] = []
    for subdataset in subdatasets:
        name, values = subdataset.attribute.name, subdataset.attribute.values
        shown = values[1:] if len(values) == 2 else values
        labels += [Label(table.labels[first + number], name, value) for number, value in enumerate(shown)]
        elsewhere = [
            row_of[hashes[example.path]]
            for example in subdataset.examples
            if example.split != table.splits[row_of[hashes[example.path]]]
        ]
        states[elsewhere, first : first + len(shown)] = UNKNOWN
        first += len(shown)
    return GraphData(replace(table, states=states), contents, tuple(labels))


def branch_folders(project: Project, trunk: Trunk, attributes: Sequence[str]) -> dict[str, Path]:
    """Attribute -> its branch on this trunk: the grafted one, else that of its newest finished search."""
    folders = {}
    for attribute in attributes:
        grafted = project.tree / attribute
        newest = newest_on(project, attribute, trunk.fingerprint)
        if (grafted / "branch.json").exists():
            folders[attribute] = grafted
        elif newest is not None and (newest / "branch" / "branch.json").exists():
            folders[attribute] = newest / "branch"
    return folders


def weights_of(folder: Path) -> str:
    """SHA-256 of a branch's weights: what tells two branches apart."""
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()


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


def pooled(
    project: Project, trunk: Trunk, data: GraphData, *, depth: int, precision: str, progress: Progress | None = None
) -> PooledFeatures:
    """The pooled features of all images after ``depth`` blocks, in the table's order, through the project's cache.

    They are the trunk's own, whatever `features.storage` says: the classifiers read these at work.
    """
    cache = cache_of(project.uncompressed, trunk, precision)
    return pool_features(features_in(cache, data, data.contents, depth, progress))


def branch_scores(
    project: Project,
    trunk: Trunk,
    data: GraphData,
    folders: Mapping[str, Path],
    rows: npt.NDArray[np.int64],
    *,
    precision: str,
    progress: Progress | None = None,
) -> npt.NDArray[np.float64]:
    """What the branches say of the images in ``rows``: probabilities (N, L), nan elsewhere.

    A branch of another trunk, or with other values than the sub-dataset now has, is left out: nan too.
    """
    scores = np.full(data.table.states.shape, np.nan)
    contents = [data.contents[row] for row in rows]
    cache = cache_of(project.uncompressed, trunk, precision)
    for attribute, folder in folders.items():
        module, record = load_branch(folder)
        columns = data.columns(attribute)
        values = [data.labels[column].value for column in columns]
        if record.fingerprint != trunk.fingerprint or not set(values) <= set(record.values):
            continue
        features = features_in(cache, data, contents, record.freeze_depth, progress)
        table = predict_scores(module, features)
        scores[rows[:, None], columns] = table[:, [record.values.index(value) for value in values]]
    return scores


def features_in(
    cache: FeatureCache, data: GraphData, contents: Sequence[str], depth: int, progress: Progress | None
) -> CachedFeatures:
    """The features of these images, computed where they are missing.

    Raises:
        TrunkError: the disk has not the room for them.
    """
    paths = data.paths
    images = {content: paths[content] for content in contents}
    cache.fill(
        images,
        [depth],
        before=lambda missing: require_room(estimate_fill(cache, images, [depth], missing)),
        progress=progress,
    )
    return cache.open(contents, depth)
