"""Intervals against the papers' own examples, and where there is none."""

import numpy as np
import pytest
from scipy.optimize import brentq

from reports.summaries.comparison import auroc_error, auroc_interval, score_interval, share_interval


def test_error_of_an_auroc_is_that_of_the_paper() -> None:
    # Hanley and McNeil (1982), the example of 109 CT images rated by one reader: area 0.893, standard error 0.032.
    assert auroc_error(0.893, 51, 58) == pytest.approx(0.032, abs=1e-3)


def newcombe(auroc: float, first: int, second: int) -> tuple[float, float]:
    """Method 5 as R's package auRoc has it (`getAUCCImwu`): the roots of z^2 Var(theta) - (theta - AUC)^2."""
    star = (first + second) / 2 - 1

    def excess(theta: float) -> float:
        spread = theta * (1 - theta) * (1 + star * (1 - theta) / (2 - theta) + star * theta / (1 + theta))
        return 1.959964**2 * spread / (first * second) - (theta - auroc) ** 2

    tiny = 1e-12
    low = 0.0 if auroc == 0 else brentq(excess, 0.0, auroc - tiny, xtol=1e-14)
    high = 1.0 if auroc == 1 else brentq(excess, auroc + tiny, 1.0, xtol=1e-14)
    return low, high


@pytest.mark.parametrize("auroc", [0.0, 0.03, 0.5, 0.893, 0.999, 1.0])
@pytest.mark.parametrize("images", [(1, 1), (1, 30), (3, 2), (51, 58), (10, 5000)])
def test_interval_of_an_auroc_is_newcombes(auroc: float, images: tuple[int, int]) -> None:
    ends = auroc_interval(auroc, *images)
    assert ends == pytest.approx(newcombe(auroc, *images), abs=1e-9)
    assert ends is not None
    assert 0 <= ends[0] <= auroc <= ends[1] <= 1
    assert ends[1] - ends[0] > 0.002
    # Which value is called positive changes nothing.
    assert auroc_interval(1 - auroc, *images[::-1]) == pytest.approx((1 - ends[1], 1 - ends[0]), abs=1e-9)


def test_interval_of_one_pair_is_wilsons_and_that_of_all_pairs_right_has_a_width() -> None:
    # One image of each value make one trial: Wilson (1927), one of one, 1 / (1 + 1.96^2) to 1.
    assert auroc_interval(1.0, 1, 1) == pytest.approx((0.2065, 1.0), abs=1e-4)
    assert auroc_interval(1.0, 10, 10) == pytest.approx((0.8002, 1.0), abs=1e-4)
    assert auroc_interval(0.99, 1, 0) is None
    assert auroc_interval(float("nan"), 5, 5) is None


def test_interval_of_a_share_is_wilsons() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 and 0 of 20, score method without correction.
    assert share_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert share_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_interval_of_an_auroc_covers_the_true_area() -> None:
    rng = np.random.default_rng(0)
    true, covered, rounds = 0.8413, 0, 400  # two normal distributions, their means sqrt(2) apart
    for _ in range(rounds):
        positives, negatives = rng.normal(2**0.5, 1, 60), rng.normal(0, 1, 90)
        measured = float((positives[:, None] > negatives).mean())
        ends = auroc_interval(measured, 60, 90)
        assert ends is not None
        covered += ends[0] <= true <= ends[1]
    assert 0.92 <= covered / rounds <= 0.98


def test_interval_stays_within_zero_and_one_and_narrows() -> None:
    few, many = auroc_interval(0.99, 10, 10), auroc_interval(0.99, 1000, 1000)
    assert few is not None
    assert many is not None
    assert 0 < few[0] < many[0] < 0.99 < many[1] < few[1] < 1


def test_no_interval_where_there_is_no_formula() -> None:
    counts = {"no": 90, "yes": 10}
    assert score_interval("f1", 0.8, counts) is None
    assert score_interval("auroc", 0.8, {"a": 5, "b": 5, "c": 5}) is None
    assert score_interval("auroc", 0.9, {"no": 90, "yes": 0}) is None
    assert score_interval("accuracy", 0.9, {}) is None
    assert score_interval("recall", 0.5, counts) == share_interval(0.5, 10)
    assert score_interval("fpr", 0.1, counts) == share_interval(0.1, 90)
    assert score_interval("auroc", 0.9, counts) == auroc_interval(0.9, 10, 90)
