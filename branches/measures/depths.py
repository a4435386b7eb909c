"""Probe a trunk's depths: logistic regression on the averages of each depth, val AUROC with intervals, and advice.

Per depth, and on all depths joined: the averages are standardised by train, C is the one of `PENALTIES` with the best
val AUROC. The intervals are of a bootstrap over val images within each value, the same draws for all depths, so that
depths are compared in pairs; training is not repeated, and that C was picked on val flatters all of them a little.
What is advised is the one-standard-error rule of Breiman et al., Classification and Regression Trees (1984), on paired
differences: the cheapest depth that falls short of the best by no more than the standard error of that difference.
"""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from branches.measures.metrics import Floats, Labels, auroc

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # inverse, scikit-learn's C
PATIENCE = 2
DRAWS = 1000
CHUNK = 2_000_000  # draws x val images that are weighed at a time
ROUNDING = 12

Rows = npt.NDArray[np.float32]


class ProbedRows(NamedTuple):
    """One split: the averages of all depths joined (N, C) and the values' numbers (N,)."""

    averages: Rows
    labels: Labels


class DepthScore(NamedTuple):
    """The val AUROC at one depth (or of all joined), the ends of its 95 % interval, and the C that was picked."""

    auroc: float
    low: float
    high: float
    inverse_penalty: float


class ProbedDepths(NamedTuple):
    """A score per depth in their order, that of all depths joined, and the covariance of the depths' scores (D, D)."""

    scores: list[DepthScore]
    joined: DepthScore
    covariance: Floats


def probe_depths(train: ProbedRows, val: ProbedRows, widths: Sequence[int], *, seed: int = 0) -> ProbedDepths:
    """Fit and score every depth; ``widths``: the channels of each depth, in the order of the columns.

    Both splits must hold every value. ``seed``: of the bootstrap alone, nothing else is drawn.
    """
    mean, deviation = train.averages.mean(0, dtype=np.float64), train.averages.std(0, dtype=np.float64)
    deviation[deviation < 1e-12] = 1.0
    x, x_val = (((rows.averages - mean) / deviation).astype(np.float32) for rows in (train, val))
    ends = np.cumsum([0, *widths])
    parts = [slice(start, end) for start, end in pairwise(ends.tolist())] + [slice(0, None)]
    # The products are small: on a busy machine threads wait for each other ten times as long as they compute.
    with threadpool_limits(1):
        fitted = [fit(x[:, part], train.labels, x_val[:, part], val.labels) for part in parts]
    draws = bootstrap([scores for _, _, scores in fitted], val.labels, seed=seed)
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    scores = [
        DepthScore(score, float(low[number]), float(high[number]), penalty)
        for number, (score, penalty, _) in enumerate(fitted)
    ]
    covariance = np.atleast_2d(np.cov(draws[:, :-1], rowvar=False))
    return ProbedDepths(scores[:-1], scores[-1], covariance)


def fit(x: Rows, y: Labels, x_val: Rows, y_val: Labels) -> tuple[float, float, Floats]:
    """(val AUROC, C, val scores (N, V)) of the best regression of the grid, each started from the one before.

    From the strongest penalty on; where two in a row are no better, weaker ones, which take longest, are not tried.
    """
    model = LogisticRegression(solver="lbfgs", max_iter=100, tol=1e-3, warm_start=True)
    best: tuple[float, float, Floats] | None = None
    worse = 0
    for penalty in PENALTIES:
        with warnings.catch_warnings():
            # A weak penalty on many columns does not settle; what val thinks of it is all that counts here.
            warnings.simplefilter("ignore", ConvergenceWarning)
            scores = model.set_params(C=penalty).fit(x, y).predict_proba(x_val).astype(np.float64)
        score = auroc(scores, y_val)
        if best is None or score > best[0]:
            best, worse = (score, penalty, scores), 0
        elif (worse := worse + 1) == PATIENCE:
            break
    assert best is not None
    return best


def bootstrap(scores: Sequence[Floats], labels: Labels, *, seed: int = 0, draws: int = DRAWS) -> Floats:
    """The AUROC of each of the scores (N, V) on images drawn again, as many of each value: (draws, len(scores)).

    With more than two values the mean over one value against the rest, as `auroc`.
    """
    rng = np.random.default_rng(seed)
    values = np.unique(labels)
    asked = values[1:] if scores[0].shape[1] == 2 else values
    chunks = []
    left = draws
    while left:
        count = min(left, max(1, CHUNK // len(labels)))
        weights = np.empty((count, len(labels)), dtype=np.float32)
        for value in values:
            own = np.flatnonzero(labels == value)
            weights[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=count)
        drawn = [
            np.mean([weighted_auroc(of[:, value], labels == value, weights) for value in asked], axis=0)
            for of in scores
        ]
        chunks.append(np.stack(drawn, axis=1))
        left -= count
    return np.concatenate(chunks)


def weighted_auroc(scores: Floats, positive: npt.NDArray[np.bool_], weights: Rows) -> Floats:
    """The AUROC (draws,) where image i counts ``weights[:, i]`` times; ties count half."""
    order = np.argsort(scores, kind="stable")
    ordered, weighed = scores[order], weights[:, order].astype(np.float64)
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    true = positive[order]
    ups = np.add.reduceat(weighed * true, starts, axis=1)
    downs = np.add.reduceat(weighed * ~true, starts, axis=1)
    below = np.cumsum(downs, axis=1) - downs
    wins: Floats = (ups * (below + downs / 2)).sum(1) / (ups.sum(1) * downs.sum(1))
    return wins


def advised(scores: Sequence[float], covariance: npt.ArrayLike) -> int:
    """The depth, counted from 1, that the one-standard-error rule takes; a later depth costs more.

    >>> advised([0.70, 0.90, 0.91], [[1e-4, 0, 0], [0, 1e-4, 0], [0, 0, 1e-4]])
    2
    """
    values, spread = np.asarray(scores), np.asarray(covariance)
    best = int(values.argmax())
    squares = spread[best, best] + np.diagonal(spread) - 2 * spread[best]
    # Sums of rounded numbers: without it a depth that equals the best could fall short by the last bit.
    short = np.round(values[best] - values, ROUNDING) > np.round(np.sqrt(np.maximum(squares, 0)), ROUNDING)
    return 1 + int(np.flatnonzero(~short)[0])


def advised_for_all(scores: Sequence[Sequence[float]], covariances: Sequence[Any]) -> int:
    """`advised` for several attributes at once: by their mean AUROC, whose errors are taken as independent."""
    mean = np.mean(np.asarray(scores), axis=0)
    return advised(mean.tolist(), np.sum(np.asarray(covariances), axis=0) / len(scores) ** 2)
