"""How well one ranking agrees with another: Kendall's tau with a bootstrap interval over the architectures.

A New Measure of Rank Correlation (Kendall, 1938), in the form tau-b that allows for ties.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

Scores = npt.NDArray[np.float64]


class Agreement(NamedTuple):
    """Kendall's tau with the 95 % percentile interval of a bootstrap; all None where a side is constant or too short.

    `pairs`: so many architectures were ranked.
    """

    tau: float | None
    low: float | None
    high: float | None
    pairs: int


def agreement(left: Sequence[float], rights: Sequence[Sequence[float]], *, seed: int, rounds: int = 2000) -> Agreement:
    """`left` (n,) against each of `rights` (k, n): the mean of the k taus, with its interval.

    The architectures are drawn again with replacement, the same draw for all sides. Draws in which a side is constant
    have no tau and are passed over.
    """
    ours, theirs = np.asarray(left, dtype=np.float64), [np.asarray(right, dtype=np.float64) for right in rights]
    value = mean_tau(ours, theirs) if len(ours) > 2 else None
    if value is None:
        return Agreement(None, None, None, len(ours))
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(ours), size=len(ours)) for _ in range(rounds))
    found = [mean_tau(ours[draw], [right[draw] for right in theirs]) for draw in draws]
    low, high = np.percentile([one for one in found if one is not None], [2.5, 97.5])
    return Agreement(value, float(low), float(high), len(ours))


def mean_tau(left: Scores, rights: Sequence[Scores]) -> float | None:
    """The mean of tau-b of `left` with each of `rights`; None where one of them is not defined."""
    if any(np.ptp(side) == 0 for side in (left, *rights)):
        return None
    taus = [float(kendalltau(left, right).statistic) for right in rights]
    return None if any(map(math.isnan, taus)) else float(np.mean(taus))
