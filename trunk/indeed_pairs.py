"""Partial-coco pairs: which images of a mini-batch INDeeD sets against each other.

INDeeD: Identical and Disparate Feature Decomposition from Multi-label Data (Adiya and Lee), equations 1 and 2.
"""

import numpy as np
from numpy.typing import NDArray


def partial_coco(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which images share a label (eq. 1) and also differ in one (eq. 2): symmetric, (N, N).

    Only what is known counts: a class is shared when both images are known to have it, and tells two images apart when
    one is known to have it and the other known not to.

    labels: (N, C), 1 present, 0 absent, -1 unknown.
    """
    present, absent = (labels == 1).astype(np.float32), (labels == 0).astype(np.float32)
    shared = present @ present.T > 0
    differ = present @ absent.T > 0
    pairs: NDArray[np.bool_] = shared & (differ | differ.T)
    return pairs


def draw_pairs(labels: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows (a, b) of the pairs of one mini-batch, (P, 2); every image stands in exactly one pair.

    Pairs are drawn at random, one after the other, from the partial-coco pairs of the images that remain; an image for
    which none remains is paired with itself, the paper's default pair.

    The drawing runs in parallel: all possible pairs get a random rank, and in each of the few rounds every two images
    that are each other's highest-ranking partner are joined. That is the matching which drawing one pair after the
    other, by rank, gives too.

    labels: (N, C), 1 present, 0 absent, -1 unknown.
    """
    count = len(labels)
    ranks = np.full((count, count), -1, dtype=np.int64)
    upper = np.triu_indices(count, 1)
    ranks[upper] = rng.permutation(len(upper[0]))
    ranks = np.where(partial_coco(labels), np.maximum(ranks, ranks.T), -1)
    rows = np.arange(count)
    alone = np.ones(count, dtype=np.bool_)
    pairs = []
    while count and (ranks >= 0).any():
        partner = ranks.argmax(axis=1)
        first = np.flatnonzero((ranks[rows, partner] >= 0) & (partner[partner] == rows) & (rows < partner))
        joined = np.concatenate([first, partner[first]])
        pairs.append(np.stack([first, partner[first]], axis=1))
        alone[joined] = False
        ranks[joined] = ranks[:, joined] = -1
    default = np.flatnonzero(alone)
    return np.concatenate([*pairs, np.stack([default, default], axis=1)])
