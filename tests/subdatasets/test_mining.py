"""Hard negatives: distances against what can be worked out by hand, and what is kept of near and far clusters."""

from itertools import permutations

import numpy as np
import pytest

from subdatasets.errors import DataError
from subdatasets.mining import MOST_POINTS, MiningSettings, cosine, earth_movers_distance, mine, shares

FAR = (1.0, 6.0, 12.0, 18.0)


def cloud(centre: float, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, 0.3, (count, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def positives() -> np.ndarray:
    return cloud(0.0, 40, 9)


@pytest.fixture(scope="module")
def negatives() -> np.ndarray:
    """Four groups of 50, ever farther from the positives, in mixed order."""
    rows = np.concatenate([cloud(centre, 50, place) for place, centre in enumerate(FAR)])
    return rows[np.random.default_rng(3).permutation(len(rows))]


def test_the_distance_is_the_cheapest_matching() -> None:
    first, second = cloud(0, 6, 0), cloud(1, 6, 1)
    cheapest = min(
        np.linalg.norm(first - second[list(order)], axis=1).mean() for order in permutations(range(len(second)))
    )
    found = earth_movers_distance(first, second, np.random.default_rng(0))
    assert found == pytest.approx(cheapest, rel=1e-5)


def test_the_distance_of_a_shifted_cloud_is_the_shift() -> None:
    points = cloud(0, 200, 0)
    assert earth_movers_distance(points, points + 4, np.random.default_rng(0)) == pytest.approx(4 * 3**0.5, rel=1e-4)
    many = np.concatenate([points] * 4)
    assert len(many) > MOST_POINTS
    assert earth_movers_distance(many, many + 4, np.random.default_rng(0)) == pytest.approx(4 * 3**0.5, rel=0.02)


def test_cosine() -> None:
    assert cosine(np.array([1.0, 0], "f4"), np.array([1.0, 1], "f4")) == pytest.approx(0.5**0.5)
    assert cosine(np.array([1.0, 0], "f4"), np.array([0.0, 0], "f4")) == 0.0


def test_close_clusters_stay_whole_and_far_ones_are_thinned(positives: np.ndarray, negatives: np.ndarray) -> None:
    clusters = mine(positives, negatives, MiningSettings(keep=100, clusters=4), seed=0)
    assert [len(cluster.members) for cluster in clusters] == [50] * 4
    assert [cluster.close for cluster in clusters] == [True, False, False, False]
    assert [len(cluster.kept) for cluster in clusters] == [50, 17, 17, 16]
    centres = [float(negatives[list(cluster.members)].mean()) for cluster in clusters]
    assert centres == pytest.approx(list(FAR), abs=0.3)
    assert [cluster.distance for cluster in clusters] == pytest.approx([far * 3**0.5 for far in FAR], abs=0.7)
    assert sorted(row for cluster in clusters for row in cluster.members) == list(range(200))
    assert all(set(cluster.kept) <= set(cluster.members) for cluster in clusters)


def test_members_begin_at_the_centre(positives: np.ndarray, negatives: np.ndarray) -> None:
    for cluster in mine(positives, negatives, MiningSettings(keep=100, clusters=4), seed=0):
        points = negatives[list(cluster.members)]
        away = np.linalg.norm(points - points.mean(0), axis=1)
        assert np.all(np.diff(away) >= -1e-4)


def test_the_same_seed_mines_the_same(positives: np.ndarray, negatives: np.ndarray) -> None:
    settings = MiningSettings(keep=80, clusters=4)
    assert mine(positives, negatives, settings, seed=1) == mine(positives, negatives, settings, seed=1)
    first, second = (mine(positives, negatives, settings, seed=seed)[3].kept for seed in (1, 2))
    assert first != second


@pytest.mark.parametrize("keep", [4, 7, 30, 99, 150, 199])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_exactly_as_many_are_kept_as_asked_for(keep: int, share: float) -> None:
    sizes = [50, 3, 80, 1, 66]
    counts, close = shares(sizes, MiningSettings(keep, 5, share))
    assert sum(counts) == keep
    assert all(0 <= count <= size for count, size in zip(counts, sizes, strict=True))
    assert counts[:close] == sizes[:close]
    assert sum(sizes[:close]) <= keep * share


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clusters": 1}, "2 clusters or more, not 1"),
        ({"keep": 0}, "at least 1 negative"),
        ({"close_share": 1.5}, "between 0 and 1, is 1.5"),
        ({"keep": 200}, "of 200 negatives, 200 cannot be kept"),
        ({"keep": 3}, "3 cannot be kept in 4 clusters"),
    ],
)
def test_impossible_wishes_are_refused(
    change: dict[str, float], message: str, positives: np.ndarray, negatives: np.ndarray
) -> None:
    with pytest.raises(DataError, match=message):
        mine(positives, negatives, MiningSettings(**{"keep": 100, "clusters": 4, **change}), seed=0)  # type: ignore[arg-type]


def test_unusable_embeddings_are_refused(positives: np.ndarray, negatives: np.ndarray) -> None:
    settings = MiningSettings(keep=100, clusters=4)
    with pytest.raises(DataError, match="positives have 2 channels, the negatives 3"):
        mine(positives[:, :2], negatives, settings, seed=0)
    with pytest.raises(DataError, match="negatives hold nan"):
        mine(positives, np.full_like(negatives, np.nan), settings, seed=0)
    with pytest.raises(DataError, match=r"positives are an array of shape \(0, 3\)"):
        mine(positives[:0], negatives, settings, seed=0)
