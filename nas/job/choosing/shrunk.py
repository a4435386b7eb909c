"""The val score of what was picked, shrunk toward the mean of those it was picked from: the best of many was lucky too.

Lindley's version of Stein's estimator with its positive part, as in Data Analysis Using Stein's Estimator and Its
Generalizations (Efron, Morris, 1975), Journal of the American Statistical Association 70, section 1: of n scores s with
mean m, m + max(0, 1 - (n - 3) e^2 / sum (s - m)^2) (s - m). The error e is of what the images and the seed do to one
network and not to all: what they do to all alike picks nobody.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from branches.measures.metrics import REWARDS
from nas.job.choosing.racing import Run
from nas.job.gains import Spread

ROUNDS = 100
LEAST = 4  # of fewer the formula shrinks nothing


class Shrunk(NamedTuple):
    """The shrunk score, the one that was measured, of how many it was picked, and the error of one of them."""

    score: float
    picked: float
    of: int
    error: float

    def record(self) -> dict[str, Any]:
        return self._asdict()


def shrunk(
    picked: float,
    runs: Sequence[Run],
    labels: npt.NDArray[np.int64],
    metric: str,
    *,
    spread: Spread | None,
    seed: int,
) -> Shrunk | None:
    """The score of one of the runs, shrunk; None where there are fewer than `LEAST`.

    spread: of a score from seed to seed, where it is known.
    """
    if len(runs) < LEAST:
        return None
    scores = np.array([run.score for run in runs])
    seeds = spread.variance if spread is not None and spread.of == "repeats" else 0.0
    variance = own_variance(runs, labels, metric, seed=seed) + seeds
    squares = float(((scores - scores.mean()) ** 2).sum())
    factor = max(0.0, 1 - (len(runs) - 3) * variance / squares) if squares else 0.0
    mean = float(scores.mean())
    return Shrunk(mean + factor * (picked - mean), picked, len(runs), variance**0.5)


def own_variance(runs: Sequence[Run], labels: npt.NDArray[np.int64], metric: str, *, seed: int) -> float:
    """The variance of a score over redrawn images, without what is common to all runs."""
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(labels == value) for value in np.unique(labels)]
    figures = np.empty((ROUNDS, len(runs)))
    for n in range(ROUNDS):
        draw = np.concatenate([rng.choice(group, len(group)) for group in groups])
        figures[n] = [REWARDS[metric](run.probabilities[draw], labels[draw]) for run in runs]
    own = figures - figures.mean(axis=1, keepdims=True)
    return float(own.var(axis=0, ddof=1).mean()) * len(runs) / (len(runs) - 1)
