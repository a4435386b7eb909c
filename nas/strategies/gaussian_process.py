"""Gaussian process over the answers to a space's decisions, with a kernel that counts different answers.

Gaussian Processes for Machine Learning (Rasmussen, Williams, 2006), chapters 2 and 5: posterior (2.23, 2.24) and
marginal likelihood (2.30). The kernel exp(-weight * H), H the number of decisions that two architectures answer
differently (Hamming), is a product of one kernel per decision that is 1 for equal answers and exp(-weight) for
different ones, so that it is positive definite. It knows no order of the answers: it is the same for widths and for
operations.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import ndtri
from scipy.stats import rankdata

WEIGHTS = (0.15, 0.3, 0.6, 1.2)  # of a decision that is answered differently
NOISES = (1e-3, 1e-2, 1e-1)  # variance of the noise; that of the process is 1
JITTERS = (0.0, 1e-10, 1e-8, 1e-6, 1e-4)

Floats = NDArray[np.float64]
Answers = NDArray[np.int64]


class Kernel(NamedTuple):
    """The process's two parameters: `weight` of a different answer, variance of the `noise`."""

    weight: float
    noise: float


def gaussian_ranks(rewards: Sequence[float]) -> Floats:
    """Rewards (n,) as quantiles of a normal distribution: their order alone, equal ones as their mean rank.

    So neither the metric's scale nor one diverged training bends the process. What is not finite is worst of all.
    """
    values = np.asarray(rewards, dtype=np.float64)
    ranks = rankdata(np.where(np.isfinite(values), values, -np.inf))
    return np.asarray(ndtri((ranks - 0.5) / len(values)), dtype=np.float64)


def likeliest(answers: Answers, targets: Floats) -> Kernel:
    """The kernel of the grid under which `targets` (n,) at `answers` (n, D) are likeliest; the first of equals."""
    apart = hamming(answers, answers)
    return max(
        (Kernel(weight, noise) for weight, noise in product(WEIGHTS, NOISES)),
        key=lambda kernel: log_marginal_likelihood(apart, targets, kernel),
    )


def log_marginal_likelihood(apart: Floats, targets: Floats, kernel: Kernel) -> float:
    """Equation 2.30 less its constant, for Hamming distances (n, n) and targets (n,)."""
    root = cholesky(covariance(apart, kernel))
    white = solve_triangular(root, targets, lower=True)
    return float(-0.5 * white @ white - np.log(np.diag(root)).sum())


def posterior_draws(
    answers: Answers, targets: Floats, pool: Answers, kernel: Kernel, draws: int, rng: np.random.Generator
) -> Floats:
    """Functions (draws, m) drawn from the posterior, at the `pool` (m, D), without noise."""
    root = cholesky(covariance(hamming(answers, answers), kernel))
    across = np.exp(-kernel.weight * hamming(answers, pool))
    white = solve_triangular(root, across, lower=True)
    mean = white.T @ solve_triangular(root, targets, lower=True)
    spread = cholesky(np.exp(-kernel.weight * hamming(pool, pool)) - white.T @ white)
    drawn = mean + rng.standard_normal((draws, len(pool))) @ spread.T
    return np.asarray(drawn, dtype=np.float64)


def hamming(one: Answers, other: Answers) -> Floats:
    """How many answers differ, for each row (n, D) and each row (m, D): (n, m)."""
    return np.asarray((one[:, None] != other[None]).sum(-1), dtype=np.float64)


def covariance(apart: Floats, kernel: Kernel) -> Floats:
    """Of noisy observations at distances (n, n)."""
    return np.asarray(np.exp(-kernel.weight * apart) + kernel.noise * np.eye(len(apart)), dtype=np.float64)


def cholesky(matrix: Floats) -> Floats:
    """The lower root of a matrix that is positive definite but for rounding: it gets what jitter it needs."""
    for jitter in JITTERS:
        try:
            return np.asarray(np.linalg.cholesky(matrix + jitter * np.eye(len(matrix))), dtype=np.float64)
        except np.linalg.LinAlgError:
            continue
    raise AssertionError("a kernel's matrix is positive definite within the largest jitter")
