"""A project's attributes as one table of labels, joined on image content, with pooled features and branches' scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from branches.records import load_branch
from branches.training import predict_scores
from foundation.progress import Progress
from graftnet.featuring import cache_of
from graftnet.project import Project
from graftnet.tree import newest_on
from label_graph.classifier import PooledFeatures, pool_features
from label_graph.graph import LabelledPool
from label_graph.records import Label
from subdatasets.multilabel import UNKNOWN, LabelTable
from subdatasets.multilabel_join import join_subdatasets
from subdatasets.subdataset import SubDataset
from trunk.cache_estimate import estimate_fill, require_room
from trunk.cached_features import CachedFeatures
from trunk.feature_cache import FeatureCache
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


def joined(subdatasets: Sequence[SubDataset], hashes: Mapping[Path, str]) -> GraphData:
    """Join sub-datasets on image content; an image that any attribute holds out trains none.

    What an attribute says of such an image in another split than that becomes unknown: its branch may have been trained
    on it, and would be measured on what it knows.

    Raises:
        DataError: there is no sub-dataset.
    """
    table = join_subdatasets(subdatasets, hashes=hashes)
    contents = tuple(hashes[path] for path in table.images)
    place = {content: row for row, content in enumerate(contents)}
    states, first = table.states.copy(), 0
    labels: list[Label] = []
    for subdataset in subdatasets:
        name, values = subdataset.attribute.name, subdataset.attribute.values
        shown = values[1:] if len(values) == 2 else values
        labels += [Label(table.labels[first + number], name, value) for number, value in enumerate(shown)]
        elsewhere = [
            place[hashes[example.path]]
            for example in subdataset.examples
            if example.split != table.splits[place[hashes[example.path]]]
        ]
        states[elsewhere, first : first + len(shown)] = UNKNOWN
        first += len(shown)
    return GraphData(replace(table, states=states), contents, tuple(labels))


def pooled(
    project: Project, trunk: Trunk, data: GraphData, *, depth: int, precision: str, progress: Progress | None = None
) -> PooledFeatures:
    """The pooled features of all images after ``depth`` blocks, in the table's order, through the project's cache.

    They are the trunk's own, whatever `features.storage` says: the classifiers read these at work.
    """
    cache = cache_of(project.uncompressed, trunk, precision)
    return pool_features(filled(cache, data, data.contents, depth, progress))


def filled(
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


def branch_folders(project: Project, trunk: Trunk, attributes: Sequence[str]) -> dict[str, Path]:
    """Attribute -> its branch on this trunk: the grafted one, else that of its newest finished search."""
    found = {}
    for attribute in attributes:
        grafted = project.tree / attribute
        newest = newest_on(project, attribute, trunk.fingerprint)
        if (grafted / "branch.json").exists():
            found[attribute] = grafted
        elif newest is not None and (newest / "branch" / "branch.json").exists():
            found[attribute] = newest / "branch"
    return found


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
        features = filled(cache, data, contents, record.freeze_depth, progress)
        table = predict_scores(module, features)
        scores[rows[:, None], columns] = table[:, [record.values.index(value) for value in values]]
    return scores
