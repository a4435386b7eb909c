"""The next pictures to ask about: at random for val and test, and for train those an answer says most about.

Which pictures may be val or test is drawn once, by each picture's content, before anything is labelled; they are shown
in an order that no score has a say in, so that what is measured on them holds for the whole pool. The others are train.
Of these are chosen: pictures between two values (the least margin; Scheffer et al., Active Hidden Markov Models for
Information Extraction, 2001), likely examples of a value while there are few, and from one cluster of the pool one
picture at a time (k-means, as in Zhdanov, Diverse mini-batch Active Learning, 2019, arXiv:1901.05954).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from branches.measures.metrics import Floats
from foundation.provenance import seed_of

Rows = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
ENOUGH = 40  # labelled pictures of a value in train; while a rare one has fewer, half of a page is likely ones
WIDE, LIKELY = 6, 2  # of so many times the pictures wanted, the clusters take one each
DIMENSIONS = 64  # components that the clusters look at
PARTS = 2**32


def split_of(content: str, *, seed: int, share: float) -> str:
    """The split that a picture would get: val or test with probability ``share`` together, else train."""
    drawn = seed_of(seed, "label", "split", content) % PARTS / PARTS
    return "val" if drawn < share / 2 else "test" if drawn < share else "train"


def shuffled(contents: Sequence[str], *, seed: int) -> list[str]:
    """The contents in an order of their own, that stays when others are added."""
    return sorted(contents, key=lambda content: (seed_of(seed, "label", "order", content), content))


def random_count(wanted: int, drawn: int, labelled: int, share: float) -> int:
    """How many of the next pictures are drawn at random, so that of all shown it is this share, on every page.

    >>> [random_count(10, 0, 0, 0.25), random_count(10, 2, 10, 0.25), random_count(10, 9, 20, 0.25)]
    [2, 3, 0]
    """
    return min(wanted, max(0, int((labelled + wanted) * share + 1e-9) - drawn))


def choose(
    rows: Rows, waiting: Numbers, scores: Floats | None, counts: Sequence[int], wanted: int, *, seed: int
) -> list[int]:
    """Numbers of the rows to ask about next, the most telling first.

    Args:
        rows: (N, K) of the whole pool.
        waiting: the numbers of those that may be asked about.
        scores: (N, V) of a fit on what is labelled; None while there is none.
        counts: labelled pictures of each value.
        wanted: how many.
        seed: of the clusters.
    """
    wanted = min(wanted, len(waiting))
    if wanted == 0:
        return []
    if scores is None:
        return one_per_cluster(rows, waiting, np.zeros(len(waiting)), wanted, seed=seed)
    value, chosen = sought(counts), list[int]()
    if value is not None:
        cost = -scores[waiting, value] if counts[value] else np.zeros(len(waiting))
        likely = np.argsort(cost, kind="stable")[: wanted * LIKELY] if counts[value] else np.arange(len(waiting))
        chosen = one_per_cluster(rows, waiting[likely], cost[likely], wanted // 2, seed=seed)
    waiting = np.setdiff1d(waiting, chosen)
    ordered = np.sort(scores[waiting], axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    near = np.argsort(margin, kind="stable")[: wanted * WIDE]
    return chosen + one_per_cluster(rows, waiting[near], margin[near], wanted - len(chosen), seed=seed)


def sought(counts: Sequence[int]) -> int | None:
    """The value to look for: one that has few pictures, and far fewer than its share; None where none is so rare.

    >>> sought([60, 12]), sought([60, 40]), sought([30, 25]), sought([9, 0, 9])
    (1, None, None, 1)
    """
    rarest = min(range(len(counts)), key=lambda value: counts[value])
    return rarest if counts[rarest] < min(ENOUGH, sum(counts) / len(counts) / 2) else None


def one_per_cluster(rows: Rows, numbers: Numbers, cost: Floats, wanted: int, *, seed: int) -> list[int]:
    """As many of ``numbers`` as are wanted, the cheapest of each cluster; of equal cost the one next to the middle."""
    wanted = min(wanted, len(numbers))
    if wanted == 0:
        return []
    if wanted == len(numbers):
        return [int(number) for number in numbers[np.argsort(cost, kind="stable")]]
    with threadpool_limits(1):
        means = MiniBatchKMeans(wanted, random_state=seed, n_init=1, batch_size=1024, max_iter=20)
        distances = means.fit_transform(rows[numbers, :DIMENSIONS])
    cluster, nearest = distances.argmin(1), distances.min(1)
    order = np.lexsort((nearest, cost))
    first = {int(cluster[place]): int(place) for place in order[::-1]}
    taken = sorted(first.values(), key=lambda place: (cost[place], nearest[place]))
    kept = set(taken)
    rest = [place for place in order.tolist() if place not in kept]
    return [int(numbers[place]) for place in [*taken, *rest][:wanted]]
