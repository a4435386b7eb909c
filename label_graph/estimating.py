"""Co-occurrence where sub-datasets share no images: expected counts from calibrated predictions.

Calibration is Platt's: a logistic curve through each label's logits on val (Platt, 1999, Probabilistic Outputs for
Support Vector Machines).
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from label_graph.cooccurrence import PairCounts, estimated_counts
from subdatasets.multilabel import PRESENT, UNKNOWN, States

Floats = NDArray[np.float64]
SMALLEST = 1e-12


def unseen_pairs(counts: PairCounts) -> bool:
    """Whether a label that images show meets another that is known in none of these images."""
    shown = counts.positives > 0
    return bool((counts.known[np.ix_(shown, shown)] == 0).any())


def calibrated(scores: Floats, states: States, others: Floats) -> Floats:
    """Probabilities of other images, (M, L), each label's curve fitted on images whose labels are known.

    A label without both present and absent images there gets its rate among them (with one of each added).

    Args:
        scores: (N, L), of the images with states (N, L). others: (M, L), scores of the other images.
    """
    found = np.empty_like(others)
    for label in range(scores.shape[1]):
        known = states[:, label] != UNKNOWN
        truth = states[known, label] == PRESENT
        if truth.all() or not truth.any():
            found[:, label] = (truth.sum() + 1) / (len(truth) + 2)
            continue
        curve = LogisticRegression(C=1e3).fit(logit(scores[known, label])[:, None], truth)
        found[:, label] = curve.predict_proba(logit(others[:, label])[:, None])[:, 1]
    return found


def filled(counts: PairCounts, probabilities: Floats, states: States) -> PairCounts:
    """Counts with expected ones in place of the pairs that no image is labelled for, marked as estimated.

    Args:
        counts: of ``states``. probabilities: (N, L), calibrated, which stand where ``states`` (N, L) are unknown.
    """
    expected = estimated_counts(np.clip(probabilities, 0.0, 1.0), states)
    there = counts.known > 0
    both, known = np.where(there, counts.both, expected.both), np.where(there, counts.known, expected.known)
    return PairCounts(both, known, estimated=True)


def logit(scores: Floats) -> Floats:
    """The logits of probabilities; those of 0 and 1 are finite."""
    clipped = np.clip(scores, SMALLEST, 1 - SMALLEST)
    found: Floats = np.log(clipped / (1 - clipped))
    return found
