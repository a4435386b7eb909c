"""Hard negatives: which negatives are worth keeping, judged by how close they lie to the positives.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.4: the
negatives are clustered by k-means; clusters close to the positives, by earth mover's distance, are kept as hard
negatives, and part of the others is removed. The paper names no numbers; here the closest clusters may fill a stated
share of what is kept, and the others are thinned in proportion to their sizes, so that no region is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import ot
from sklearn.cluster import KMeans

from subdatasets.attribute import Attribute
from subdatasets.errors import DataError
from subdatasets.subdataset import Example, SubDataset


def kept_number(keep: float, negatives: int) -> int:
    """How many negatives stay: a share below 1, a whole number from 1.

    Raises:
        DataError: it is neither.
    """
    if not (keep > 0 and (keep < 1 or keep == int(keep))):
        raise DataError(f"--keep must be a share between 0 and 1, or a whole number of negatives, is {keep:g}.")
    return max(1, round(keep * negatives)) if keep < 1 else int(keep)


def positive_of(subdataset: SubDataset, value: str | None) -> int:
    """The index of the positive value.

    Raises:
        DataError: there is no such value, or none is named where there are more than two.
    """
    values = subdataset.attribute.values
    if value is None:
        if len(values) > 2:
            raise DataError(
                f"{subdataset.attribute.name} has {len(values)} values; say with --positive which one the others are "
                f"negatives of: {', '.join(values)}."
            )
        return 1
    if value not in values:
        raise DataError(f"{subdataset.attribute.name} has no value {value!r}; it has {', '.join(values)}.")
    return values.index(value)


class Cluster(NamedTuple):
    """Negatives that lie together, and what became of them.

    members: rows of the negatives, those nearest to the cluster's centre first. kept: those of them that stay.
    distance: earth mover's, to the positives, in units of the embeddings. similarity: cosine of the two means.
    close: kept whole, as hard negatives.
    """

    members: tuple[int, ...]
    kept: tuple[int, ...]
    distance: float
    similarity: float
    close: bool


def thinned(source: SubDataset, negatives: Sequence[Example], clusters: Sequence[Cluster], target: Path) -> SubDataset:
    """The source without the train negatives that no cluster keeps, under the name of ``target``.

    Raises:
        DataError: a value would be left without a train image.
    """
    kept = {negatives[row] for cluster in clusters for row in cluster.kept}
    dropped = set(negatives) - kept
    examples = tuple(example for example in source.examples if example not in dropped)
    mined = replace(source, attribute=Attribute(target.stem, source.attribute.values), examples=examples, source=target)
    for value, count in mined.counts()["train"].items():
        if not count:
            raise DataError(f"no train image of value {value!r} would be left: keep more, or leave that value out")
    return mined


def cluster_record(cluster: Cluster, negatives: Sequence[Example], values: Sequence[str]) -> dict[str, Any]:
    """A cluster as the provenance and the report have it."""
    counts = np.bincount([negatives[row].value for row in cluster.members], minlength=len(values)).tolist()
    return {
        "distance": cluster.distance,
        "similarity": cluster.similarity,
        "close": cluster.close,
        "size": len(cluster.members),
        "kept": len(cluster.kept),
        "values": {value: count for value, count in zip(values, counts, strict=True) if count},
    }


Floats = npt.NDArray[np.float32]

MOST_POINTS = 500  # of each side in an earth mover's distance, whose cost grows with their product and more

RESTARTS = 4


@dataclass(frozen=True)
class MiningSettings:
    """How much is kept, and how it is parted.

    clusters: so many of k-means. keep: how many negatives stay. close_share: at most so much of them whole.

    Raises:
        DataError: a value outside its range.
    """

    keep: int
    clusters: int = 10
    close_share: float = 0.5

    def __post_init__(self) -> None:
        if self.clusters < 2:
            raise DataError(f"there must be 2 clusters or more, not {self.clusters}: far ones are told from close ones")
        if not 0 <= self.close_share <= 1:
            raise DataError(f"the share of whole clusters must lie between 0 and 1, is {self.close_share}")
        if self.keep < 1:
            raise DataError(f"at least 1 negative must be kept, not {self.keep}")


def mine(positives: Floats, negatives: Floats, settings: MiningSettings, *, seed: int) -> list[Cluster]:
    """The clusters of the negatives, the one closest to the positives first, each with the rows that are kept.

    Args:
        positives: (P, D) embeddings. negatives: (N, D).
        seed: decides over k-means' starts, the points of large distances and which negatives of far clusters stay.

    Raises:
        DataError: there is nothing to cluster or to thin, or the embeddings hold no finite numbers.
    """
    check(positives, negatives, settings)
    clustering = KMeans(settings.clusters, n_init=RESTARTS, random_state=seed % 2**32).fit(negatives)
    rng = np.random.default_rng(seed)
    clusters = []
    for number in range(settings.clusters):
        rows = np.flatnonzero(clustering.labels_ == number)
        if not len(rows):
            continue
        points = negatives[rows]
        nearest = np.argsort(np.linalg.norm(points - clustering.cluster_centers_[number], axis=1), kind="stable")
        distance = earth_movers_distance(points, positives, rng)
        clusters.append((distance, cosine(points.mean(0), positives.mean(0)), rows[nearest]))
    clusters.sort(key=lambda cluster: cluster[0])
    counts, close = shares([len(rows) for _, _, rows in clusters], settings)
    return [
        Cluster(
            tuple(rows.tolist()),
            tuple(np.sort(rng.choice(rows, count, replace=False)).tolist()),
            distance,
            similarity,
            number < close,
        )
        for number, ((distance, similarity, rows), count) in enumerate(zip(clusters, counts, strict=True))
    ]


def shares(sizes: Sequence[int], settings: MiningSettings) -> tuple[list[int], int]:
    """How many to keep of each cluster, closest first, `settings.keep` in all; and how many clusters stay whole.

    Clusters stay whole as long as they fill no more than `close_share` of what is kept, and at least the rest of it is
    left for the others, in proportion to their sizes (largest remainders).

    >>> shares([30, 30, 100, 40], MiningSettings(keep=100, close_share=0.5))
    ([30, 12, 41, 17], 1)
    """
    close = used = 0
    while close < len(sizes) and used + sizes[close] <= settings.keep * settings.close_share:
        used += sizes[close]
        close += 1
    rest = np.asarray(sizes[close:], dtype=np.float64)
    exact = rest * (settings.keep - used) / max(1.0, rest.sum())
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: settings.keep - used - int(counts.sum())]] += 1
    return [*sizes[:close], *counts.tolist()], close


def earth_movers_distance(first: Floats, second: Floats, rng: np.random.Generator) -> float:
    """How far the mass of one cloud of points (N, D) must be moved to become another (M, D), per unit of mass.

    The Earth Mover's Distance as a Metric for Image Retrieval (Rubner, Tomasi, Guibas, 2000), solved exactly by POT;
    the ground distance is Euclidean, every point has the same mass. Of more than 500 points, 500 are drawn.
    """
    drawn = [cloud[rng.permutation(len(cloud))[:MOST_POINTS]].astype(np.float64) for cloud in (first, second)]
    cost = ot.dist(*drawn, metric="euclidean")
    masses: list[Any] = [np.full(len(cloud), 1 / len(cloud)) for cloud in drawn]
    return float(ot.emd2(*masses, cost, numItermax=10**7))


def cosine(first: Floats, second: Floats) -> float:
    """The cosine of the angle between two vectors (D,); 0 where one has no length."""
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / length if length else 0.0


def check(positives: Floats, negatives: Floats, settings: MiningSettings) -> None:
    """Raise DataError where there is nothing to mine."""
    for name, points in (("positives", positives), ("negatives", negatives)):
        if points.ndim != 2 or not len(points):
            raise DataError(f"the {name} are an array of shape {points.shape}: give one embedding (D,) for each image")
        if not np.isfinite(points).all():
            raise DataError(f"the embeddings of the {name} hold nan or infinity: use another trunk")
    if positives.shape[1] != negatives.shape[1]:
        raise DataError(
            f"the positives have {positives.shape[1]} channels, the negatives {negatives.shape[1]}: embed both alike"
        )
    if not settings.clusters <= settings.keep < len(negatives):
        raise DataError(
            f"of {len(negatives)} negatives, {settings.keep} cannot be kept in {settings.clusters} clusters: keep "
            f"fewer than there are, and no fewer than there are clusters"
        )
