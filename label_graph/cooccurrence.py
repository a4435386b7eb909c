"""Co-occurrence of labels: counts, conditional probabilities, and the adjacency matrix of the label graph.

IML-GCN (Singh et al. 2022), eq. 3-4, after ML-GCN (Chen et al. 2019), arXiv:1904.03582. Counts here come from known
pairs only, for an image may say nothing of a label. Rows are the label that conditions: ``P[i, j]`` = P(j | i).

Where sub-datasets share no images, expected counts come from calibrated predictions: Platt's, a logistic curve through
each label's logits on val (Platt, 1999, Probabilistic Outputs for Support Vector Machines).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from label_graph.errors import LabelGraphError
from subdatasets.labels.table import ABSENT, PRESENT, UNKNOWN, States

Matrix = NDArray[np.float64]


class LabelGraphWarning(UserWarning):
    """Labels that the graph can say nothing of."""


@dataclass(frozen=True, eq=False)
class PairCounts:
    """How often labels occur together.

    both: float64 (L, L), images that show i and j; the diagonal counts the images that show i.
    known: float64 (L, L), images that show i and of which j is known (present or absent).
    estimated: whether predictions stand for labels that nobody gave; counts are then expected values.
    """

    both: Matrix
    known: Matrix
    estimated: bool = False

    @property
    def positives(self) -> Matrix:
        """(L,): images that show each label."""
        return np.diagonal(self.both).copy()


@dataclass(frozen=True, eq=False)
class Adjacency:
    """The matrix a graph network multiplies by, and what to know of it.

    matrix: float64 (L, L), normalised.
    probability: float64 (L, L), P(j | i).
    isolated: indices of labels without a neighbour; they keep their own features.
    absent: indices of labels that no image shows.
    estimated: whether the counts behind it are.
    """

    matrix: Matrix
    probability: Matrix
    isolated: tuple[int, ...]
    absent: tuple[int, ...]
    estimated: bool


def count_pairs(states: NDArray[np.integer]) -> PairCounts:
    """Counts from what is known.

    Args:
        states: (N, L), PRESENT, ABSENT or UNKNOWN.

    Raises:
        LabelGraphError: another shape or state.
    """
    states = checked_states(states)
    present = (states == PRESENT).astype(np.float64)
    known = (states != UNKNOWN).astype(np.float64)
    return PairCounts(present.T @ present, present.T @ known)


def estimated_counts(probabilities: NDArray[np.floating], states: NDArray[np.integer] | None = None) -> PairCounts:
    """Expected counts from calibrated predictions, for sub-datasets that share no images.

    A prediction stands where the label is unknown; where it is known, the label does. Given the image, labels are taken
    as independent, so that the expected number of images with i and j is the sum of ``p_i p_j``.

    Args:
        probabilities: (N, L), each calibrated: of the images given 0.7, seven in ten show the label.
        states: (N, L), what is known; None: nothing.

    Raises:
        LabelGraphError: shapes that differ, or a probability that is none.
    """
    expected = np.array(probabilities, dtype=np.float64)
    if expected.ndim != 2:
        raise LabelGraphError(
            f"probabilities have shape {expected.shape}: give one row per image, one column per label"
        )
    if not ((expected >= 0) & (expected <= 1)).all():
        raise LabelGraphError("probabilities to count from must lie between 0 and 1: calibrate the scores first")
    if states is not None:
        known = checked_states(states)
        if known.shape != expected.shape:
            raise LabelGraphError(f"states {known.shape} and probabilities {expected.shape} must have one shape")
        expected = np.where(known == UNKNOWN, expected, known)
    both = expected.T @ expected
    np.fill_diagonal(both, expected.sum(axis=0))
    known_pairs = np.repeat(expected.sum(axis=0)[:, None], expected.shape[1], axis=1)
    return PairCounts(both, known_pairs, estimated=True)


def conditional_probability(counts: PairCounts) -> Matrix:
    """(L, L): P(j | i), the share of images with j among those that show i and of which j is known.

    0 where there is no such image; 1 on the diagonal of a label that any image shows.
    """
    probability: Matrix = np.divide(counts.both, counts.known, out=np.zeros_like(counts.both), where=counts.known > 0)
    return probability


def threshold(probability: Matrix, tau: float) -> Matrix:
    """(L, L), eq. 3: 1 where P(j | i) >= tau, else 0; 0 on the diagonal, whose weight is eq. 4's to give.

    Raises:
        LabelGraphError: a tau outside (0, 1]; 0 would join all labels, even those never seen together.
    """
    if not 0 < tau <= 1:
        raise LabelGraphError(f"tau is {tau}: choose a threshold above 0 and at most 1, such as the paper's 0.1")
    edges: Matrix = (probability >= tau).astype(np.float64)
    np.fill_diagonal(edges, 0.0)
    return edges


def reweight(edges: Matrix, p: float) -> Matrix:
    """(L, L), eq. 4: each label keeps 1 - p of itself and takes p from its neighbours, in equal parts.

    The sum runs over the other labels, and edges that are absent stay 0, as in ML-GCN (the paper's eq. 4 gives them
    weight too). A label without neighbours keeps all of itself. Every row adds up to 1.

    Args:
        edges: (L, L) of 0 and 1; the diagonal is passed over.
        p: the neighbours' share, 0 to 1.

    Raises:
        LabelGraphError: a p outside [0, 1].
    """
    if not 0 <= p <= 1:
        raise LabelGraphError(f"p is {p}: choose the neighbours' share between 0 and 1, such as ML-GCN's 0.2")
    others = edges.copy()
    np.fill_diagonal(others, 0.0)
    degree = others.sum(axis=1)
    weights: Matrix = p * np.divide(others, degree[:, None], out=np.zeros_like(others), where=degree[:, None] > 0)
    np.fill_diagonal(weights, np.where(degree > 0, 1.0 - p, 1.0))
    return weights


def normalise(adjacency: Matrix, *, self_loops: bool = False) -> Matrix:
    """(L, L): ``D^-1/2 A D^-1/2``, where D holds the rows' sums; rows of zeros stay zero.

    Kipf and Welling (2016), arXiv:1609.02907. Rows that add up to 1, as eq. 4's do, leave the matrix as it is.

    Args:
        adjacency: (L, L), not negative.
        self_loops: add 1 to the diagonal first, Kipf and Welling's renormalisation, for plain edges.
    """
    matrix = adjacency + np.eye(len(adjacency)) if self_loops else adjacency
    degree = matrix.sum(axis=1)
    scale: Matrix = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    normalised: Matrix = scale[:, None] * matrix * scale[None, :]
    return normalised


def label_adjacency(counts: PairCounts, *, tau: float, p: float, labels: Sequence[str] = ()) -> Adjacency:
    """Counts to the normalised matrix of eq. 2, by eq. 3 and 4.

    Args:
        counts: of L labels, from the train split.
        tau: eq. 3's threshold.
        p: eq. 4's share of the neighbours.
        labels: their names, for the warning.

    Warns:
        LabelGraphWarning: labels that no image shows, or that have no neighbour.
    """
    probability = conditional_probability(counts)
    edges = threshold(probability, tau)
    absent = tuple(np.flatnonzero(counts.positives <= 0).tolist())
    isolated = tuple(np.flatnonzero(edges.sum(axis=1) == 0).tolist())
    names = list(labels) or [str(label) for label in range(len(edges))]
    if absent:
        shown = ", ".join(names[label] for label in absent)
        warnings.warn(
            f"no image shows {shown}: the label graph knows no neighbour of it", LabelGraphWarning, stacklevel=2
        )
    alone = [names[label] for label in isolated if label not in absent]
    if alone:
        shown = ", ".join(alone)
        message = f"at tau {tau:g} the label graph has no edge from {shown}: lower tau to join them"
        warnings.warn(message, LabelGraphWarning, stacklevel=2)
    return Adjacency(normalise(reweight(edges, p)), probability, isolated, absent, counts.estimated)


def checked_states(states: NDArray[np.integer]) -> NDArray[np.int8]:
    """States as int8 (N, L).

    Raises:
        LabelGraphError: another shape, or a value that is no state.
    """
    states = np.asarray(states)
    if states.ndim != 2:
        raise LabelGraphError(f"label states have shape {states.shape}: give one row per image, one column per label")
    strange = states[~np.isin(states, (PRESENT, ABSENT, UNKNOWN))]
    if strange.size:
        raise LabelGraphError(f"label states hold {strange[0]}: use 1 present, 0 absent, -1 unknown")
    return states.astype(np.int8)


SMALLEST = 1e-12


def unseen_pairs(counts: PairCounts) -> bool:
    """Whether a label that images show meets another that is known in none of these images."""
    shown = counts.positives > 0
    return bool((counts.known[np.ix_(shown, shown)] == 0).any())


def calibrated(scores: Matrix, states: States, others: Matrix) -> Matrix:
    """Probabilities of other images, (M, L), each label's curve fitted on images whose labels are known.

    A label without both present and absent images there gets its rate among them (with one of each added).

    Args:
        scores: (N, L), of the images with states (N, L). others: (M, L), scores of the other images.
    """
    probabilities = np.empty_like(others)
    for label in range(scores.shape[1]):
        known = states[:, label] != UNKNOWN
        truth = states[known, label] == PRESENT
        if truth.all() or not truth.any():
            probabilities[:, label] = (truth.sum() + 1) / (len(truth) + 2)
            continue
        curve = LogisticRegression(C=1e3).fit(logit(scores[known, label])[:, None], truth)
        probabilities[:, label] = curve.predict_proba(logit(others[:, label])[:, None])[:, 1]
    return probabilities


def filled(counts: PairCounts, probabilities: Matrix, states: States) -> PairCounts:
    """Counts with expected ones in place of the pairs that no image is labelled for, marked as estimated.

    Args:
        counts: of ``states``. probabilities: (N, L), calibrated, which stand where ``states`` (N, L) are unknown.
    """
    expected = estimated_counts(np.clip(probabilities, 0.0, 1.0), states)
    there = counts.known > 0
    both, known = np.where(there, counts.both, expected.both), np.where(there, counts.known, expected.known)
    return PairCounts(both, known, estimated=True)


def logit(scores: Matrix) -> Matrix:
    """The logits of probabilities; those of 0 and 1 are finite."""
    clipped = np.clip(scores, SMALLEST, 1 - SMALLEST)
    logits: Matrix = np.log(clipped / (1 - clipped))
    return logits
