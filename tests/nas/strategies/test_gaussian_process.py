"""The process against the textbook's formulas, written with inverses and scipy's own density."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from nas.strategies.gaussian_process import (
    NOISES,
    WEIGHTS,
    Kernel,
    cholesky,
    gaussian_ranks,
    hamming,
    likeliest,
    log_marginal_likelihood,
    posterior_draws,
)

KERNEL = Kernel(0.3, 0.01)


def some_answers(count: int, seed: int, decisions: int = 6) -> np.ndarray:
    """Different rows."""
    drawn = np.random.default_rng(seed).integers(-1, 3, (4 * count, decisions))
    return np.unique(drawn, axis=0)[:count]


def test_ranks_are_normal_quantiles_and_ties_share_theirs() -> None:
    assert gaussian_ranks([0.5, 0.9, 0.1, 0.7]) == pytest.approx(norm.ppf([0.375, 0.875, 0.125, 0.625]))
    assert gaussian_ranks([2.0, 1.0, 2.0]) == pytest.approx(norm.ppf([2 / 3, 1 / 6, 2 / 3]))
    assert gaussian_ranks([3.0]) == pytest.approx([0.0])
    assert gaussian_ranks([0.4] * 5) == pytest.approx([0.0] * 5)


def test_only_the_order_of_rewards_counts() -> None:
    rewards = np.random.default_rng(0).random(20)
    assert np.array_equal(gaussian_ranks(list(rewards)), gaussian_ranks(list(np.exp(50 * rewards))))


@pytest.mark.parametrize("failed", [math.nan, -math.inf, math.inf])
def test_a_failed_training_is_worst(failed: float) -> None:
    ranks = gaussian_ranks([0.3, failed, -1e300, 0.6])
    assert np.isfinite(ranks).all()
    assert ranks.argmin() == 1
    assert np.isfinite(gaussian_ranks([failed] * 3)).all()


def test_distances_count_what_is_answered_differently() -> None:
    one, other = np.array([[0, 1, 2], [-1, 1, 2]]), np.array([[0, 1, 2], [1, 0, 0], [-1, 0, 2]])
    assert hamming(one, other).tolist() == [[0, 3, 2], [1, 3, 1]]


def test_the_likelihood_is_that_of_a_normal_distribution() -> None:
    answers = some_answers(12, 0)
    targets = np.random.default_rng(1).standard_normal(12)
    apart = hamming(answers, answers)
    expected = multivariate_normal(cov=np.exp(-0.3 * apart) + 0.01 * np.eye(12)).logpdf(targets)
    found = log_marginal_likelihood(apart, targets, KERNEL)
    assert found - 6 * math.log(2 * math.pi) == pytest.approx(expected)


@pytest.mark.parametrize("kernel", [Kernel(0.15, 1e-3), Kernel(1.2, 1e-1)])
def test_the_kernel_that_made_the_targets_is_found(kernel: Kernel) -> None:
    answers = some_answers(250, 0)
    root = np.linalg.cholesky(np.exp(-kernel.weight * hamming(answers, answers)) + kernel.noise * np.eye(250))
    assert likeliest(answers, root @ np.random.default_rng(0).standard_normal(250)) == kernel


def test_draws_have_the_posteriors_mean_and_covariance() -> None:
    answers, pool = some_answers(10, 0), some_answers(7, 1)
    targets = np.random.default_rng(2).standard_normal(10)
    inverse = np.linalg.inv(np.exp(-0.3 * hamming(answers, answers)) + 0.01 * np.eye(10))
    across = np.exp(-0.3 * hamming(pool, answers))
    drawn = posterior_draws(answers, targets, pool, KERNEL, 40_000, np.random.default_rng(3))
    assert drawn.shape == (40_000, 7)
    assert drawn.mean(0) == pytest.approx(across @ inverse @ targets, abs=0.02)
    expected = np.exp(-0.3 * hamming(pool, pool)) - across @ inverse @ across.T
    assert np.cov(drawn.T) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("weight", WEIGHTS)
def test_what_is_degenerate_stays_finite(weight: float, noise: float) -> None:
    """Known networks in the pool, one of them twice, and all rewards equal."""
    answers = some_answers(40, 0)
    pool = np.concatenate([answers, answers[:5], some_answers(40, 1)])
    drawn = posterior_draws(answers, np.zeros(40), pool, Kernel(weight, noise), 8, np.random.default_rng(0))
    assert np.isfinite(drawn).all()
    assert np.abs(drawn[:, :5] - drawn[:, 40:45]).max() < 1e-2
    assert likeliest(answers, np.zeros(40)) in {Kernel(w, n) for w in WEIGHTS for n in NOISES}


def test_a_root_of_what_is_not_quite_positive_definite() -> None:
    flat = np.ones((30, 30)) - 1e-9 * np.eye(30)
    root = cholesky(flat)
    assert root @ root.T == pytest.approx(flat, abs=1e-3)
    with pytest.raises(AssertionError, match="positive definite"):
        cholesky(-np.eye(2))
