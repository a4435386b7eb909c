"""Gain in mAP of one table of scores over another on the same images, label by label and with an interval."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from label_graph.errors import LabelGraphError
from subdatasets.multilabel import PRESENT, UNKNOWN, States

Floats = NDArray[np.float64]
CHUNK = 2**22  # entries of a resampling at a time


class Gain(NamedTuple):
    """Differences in average precision, a minus b.

    total: of the means over labels, (low, high) its 95 % interval. labels: (L,), each label's; nan where not measured.
    """

    total: float
    low: float
    high: float
    labels: Floats


class Ranking(NamedTuple):
    """A label's known images by falling score: rows (n,) of the table, whether present, the last of each tie."""

    rows: NDArray[np.int64]
    present: NDArray[np.bool_]
    ends: NDArray[np.int64]


def paired_gain(a: Floats, b: Floats, states: States, *, seed: int, rounds: int = 1000) -> Gain:
    """Compare two tables of scores by average precision; images are drawn again, the same draw for both.

    A percentile bootstrap over images. Labels without a known positive are left out of the means; in a draw that has
    none of a label's positives, of that draw.

    Args:
        a, b: (N, L). states: (N, L), 1 present, 0 absent, -1 unknown.

    Raises:
        LabelGraphError: shapes that differ, or no label with a known positive.
    """
    if not a.shape == b.shape == states.shape:
        raise LabelGraphError(f"Scores {a.shape}, {b.shape} and states {states.shape} must have one shape.")
    shown = np.flatnonzero((states == PRESENT).any(axis=0))
    if not len(shown):
        raise LabelGraphError("No label has a known positive, so nothing can be compared.")
    rankings = [(ranking(a[:, j], states[:, j]), ranking(b[:, j], states[:, j])) for j in shown]
    whole = np.ones((1, len(states)))
    differences = np.full(states.shape[1], np.nan)
    for label, (one, two) in zip(shown, rankings, strict=True):
        differences[label] = (weighted_precision(one, whole) - weighted_precision(two, whole))[0]
    rng = np.random.default_rng(seed)
    totals: list[Floats] = []
    step = max(1, CHUNK // max(1, len(states)))
    for start in range(0, rounds, step):
        count = min(step, rounds - start)
        draws = rng.multinomial(len(states), np.full(len(states), 1 / len(states)), size=count).astype(np.float64)
        each = [weighted_precision(one, draws) - weighted_precision(two, draws) for one, two in rankings]
        totals.append(np.nanmean(np.stack(each), axis=0))
    low, high = np.nanpercentile(np.concatenate(totals), [2.5, 97.5])
    return Gain(float(np.nanmean(differences)), float(low), float(high), differences)


def ranking(scores: Floats, states: States) -> Ranking:
    """One label's images, (N,) scores and states, in the order that average precision walks through."""
    known = np.flatnonzero(states != UNKNOWN)
    rows = known[np.argsort(-scores[known], kind="stable")]
    ends = np.append(np.flatnonzero(np.diff(scores[rows])), len(rows) - 1)
    return Ranking(rows, states[rows] == PRESENT, ends)


def weighted_precision(ranked: Ranking, weights: Floats) -> Floats:
    """Average precision where image n counts ``weights[r, n]`` times, (R,); nan where no positive counts."""
    chosen = weights[:, ranked.rows]
    hits = np.cumsum(chosen * ranked.present, axis=1)[:, ranked.ends]
    seen = np.cumsum(chosen, axis=1)[:, ranked.ends]
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    gained = np.diff(hits, axis=1, prepend=0.0)
    positives = hits[:, -1]
    total = (precision * gained).sum(axis=1)
    mean_precision: Floats = np.divide(total, positives, out=np.full_like(total, np.nan), where=positives > 0)
    return mean_precision
