"""A race of finalists: many are trained shortly, the better half for longer, until few are left to be trained in full.

Successive halving, Non-stochastic Best Arm Identification and Hyperparameter Optimization (Jamieson, Talwalkar, 2016),
arXiv:1502.07943. Here a halving also ends early for whoever lies behind the best beyond the error of the difference on
the same val images, as in Hoeffding Races (Maron, Moore, 1993): where one is clearly ahead, no more are trained.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from branches.measures.metrics import Scores
from nas.job.gains import paired_error

BEHIND = 2.0  # standard errors of the difference to the best: beyond, a longer training will hardly turn it
NEAR = 1.0  # standard errors of the difference: within, the images do not tell who is better
SHORTEST = 1 / 8  # of the full training's epochs


class Run(NamedTuple):
    """A short training: its val score, and its probabilities (N, V) on val."""

    score: float
    probabilities: Scores


def rungs(runners: int, finalists: int, epochs: int) -> list[int]:
    """The epochs of each short training, rising: each twice the one before, the full one as twice the last.

    >>> rungs(16, 4, 12), rungs(8, 4, 12), rungs(4, 4, 12)
    ([3, 6], [6], [])
    """
    halvings = math.ceil(math.log2(runners / finalists)) if runners > finalists else 0
    least = max(1, math.ceil(epochs * SHORTEST))
    return [max(least, round(epochs / 2**number)) for number in range(halvings, 0, -1)]


def race(
    runners: Sequence[int],
    finalists: int,
    epochs: int,
    train: Callable[[int, int, int], Run],
    labels: npt.NDArray[np.int64],
    metric: str,
    *,
    seed: int,
) -> list[int]:
    """Which of the runners are trained in full, at most `finalists` of them, in their own order.

    train: (rung, runner, epochs) -> what a short training gave.
    """
    left = list(runners)
    for rung, length in enumerate(rungs(len(left), finalists, epochs)):
        runs = {runner: train(rung, runner, length) for runner in left}
        kept = sorted(left, key=lambda runner: -runs[runner].score)[: max(finalists, -(-len(left) // 2))]
        best = runs[kept[0]]
        left = [
            runner
            for runner in kept
            if best.score - runs[runner].score
            <= BEHIND * paired_error(best.probabilities, runs[runner].probabilities, labels, metric, seed=seed)
        ]
        if len(left) == 1:
            break
    return sorted(left[:finalists])


def near_best(runs: Sequence[Run], labels: npt.NDArray[np.int64], metric: str, *, seed: int) -> list[int]:
    """The places of the best run and of those that lie behind it by no more than the error of the difference."""
    best = max(runs, key=lambda run: run.score)
    return [
        place
        for place, run in enumerate(runs)
        if run is best
        or best.score - run.score
        <= NEAR * paired_error(best.probabilities, run.probabilities, labels, metric, seed=seed)
    ]
