"""INDeeD: features split into what two images share and what tells them apart, each part classified by itself.

INDeeD: Identical and Disparate Feature Decomposition from Multi-label Data (Adiya and Lee), equations 1 to 11. The two
blocks have no weights and act on the loss alone, so the trained network is the plain backbone with its classifier.

Departures from the paper, which prints some formulas wrongly: the sigmoid (eq. 10) is 1 / (1 + exp(-x)); the binary
cross entropy is minus the whole sum, both terms; y_a - y_b (eq. 11) is y_a without y_b; and y_a and y_b's common labels
belong to the identical features, not to f_a and f_b. Sums over classes and pairs are means here, which changes the
scale of the loss alone. Labels may be unknown; the paper knows none of that kind.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from trunk.pretraining.dynamic_graph import UNKNOWN
from trunk.pretraining.settings import IndeedSettings

SMALLEST_SCALE = 1e-12  # of a feature vector or its range; below, it counts as zero


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


class Six(NamedTuple):
    """One value for each of the six features of a pair (eq. 5), in the paper's order."""

    a: Tensor
    b: Tensor
    a_and_b: Tensor
    b_and_a: Tensor
    a_minus_b: Tensor
    b_minus_a: Tensor


def identical_map(f_a: Tensor, f_b: Tensor, normalisation: str) -> Tensor:
    """How alike two feature vectors are, element by element (eq. 3: ``l2``, eq. 4: ``minmax``): (P, n) -> (P, n).

    Between 0 and 1 for features that are not negative, as they are after a ReLU. Where the norm or the range is zero,
    which the paper leaves open, the map is 0 and has no gradient: nothing is known to be alike.
    """
    product = f_a * f_b
    if normalisation == "l2":
        return product / infinite_where_zero(product.norm(dim=1, keepdim=True))
    low, high = product.aminmax(dim=1, keepdim=True)
    return (product - low) / infinite_where_zero(high - low)


def infinite_where_zero(scale: Tensor) -> Tensor:
    """Divided by this, a vector without a scale becomes zero, and so does its gradient; a small constant would make the
    gradient huge instead."""
    return scale.masked_fill(scale <= SMALLEST_SCALE, torch.inf)


def six_features(f_a: Tensor, f_b: Tensor, normalisation: str) -> Six:
    """The features of each pair with their identical and disparate parts (eq. 5), each (P, n)."""
    m = identical_map(f_a, f_b, normalisation)
    return Six(f_a, f_b, m * f_a, m * f_b, (1 - m) * f_a, (1 - m) * f_b)


def six_labels(y_a: Tensor, y_b: Tensor) -> Six:
    """The labels of the six features (eq. 11), each (P, C): 1 present, 0 absent, -1 unknown.

    An unknown label stays open only where it decides: what a is known to lack, a and b do not share, whatever b has.
    """
    return Six(y_a, y_b, both(y_a, y_b), both(y_b, y_a), both(y_a, opposite(y_b)), both(y_b, opposite(y_a)))


def both(y: Tensor, z: Tensor) -> Tensor:
    """y and z, with unknowns: absent where either is absent, present where both are present."""
    unknown = torch.full_like(y, UNKNOWN)
    decided = torch.where((y == 1) & (z == 1), 1, unknown)
    return torch.where((y == 0) | (z == 0), 0, decided)


def opposite(y: Tensor) -> Tensor:
    """Not y, with unknowns."""
    return torch.where(y == UNKNOWN, y, 1 - y)


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Eq. 10 as the mean over the known labels; 0 where none is known.

    logits: (N, C). labels: (N, C), 1 present, 0 absent, -1 unknown.
    """
    known = labels != UNKNOWN
    losses = F.binary_cross_entropy_with_logits(logits.float(), labels.clamp_min(0).float(), reduction="none")
    return (losses * known).sum() / known.sum().clamp_min(1)


def indeed_loss(
    features: Tensor, labels: Tensor, pairs: Tensor, classify: Callable[[Tensor], Tensor], settings: IndeedSettings
) -> Tensor:
    """L_O + lambda (L_I + L_S) of eq. 6 to 9, over the pairs of one mini-batch.

    Args:
        features: (N, n), not negative; float32, whatever the backbone ran in.
        labels: (N, C), 1 present, 0 absent, -1 unknown.
        pairs: (P, 2) rows, as `draw_pairs` gives them.
        classify: the one classifier of all six features, (M, n) -> (M, C).
        settings: lambda, the normalisation and the blocks; with one block alone the other's loss is left out.
    """
    a, b = pairs.T
    parts = six_features(features[a], features[b], settings.normalisation)
    targets = six_labels(labels[a], labels[b])
    identical = settings.weight if settings.blocks != "disparate" else 0.0
    disparate = settings.weight if settings.blocks != "identical" else 0.0
    weights = (1.0, 1.0, identical, identical, disparate, disparate)
    used = [number for number, weight in enumerate(weights) if weight]
    logits = torch.split(classify(torch.cat([parts[number] for number in used])), len(pairs))
    losses = [
        weights[number] * binary_cross_entropy(part_logits, targets[number])
        for number, part_logits in zip(used, logits, strict=True)
    ]
    return torch.stack(losses).sum()
