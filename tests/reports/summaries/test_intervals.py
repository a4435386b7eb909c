"""Intervals against the papers' own examples, and where there is none."""

import numpy as np
import pytest

from reports.summaries.comparison import auroc_error, auroc_interval, score_interval, share_interval


def test_error_of_an_auroc_is_that_of_the_paper() -> None:
    # Hanley and McNeil (1982), the example of 109 CT images rated by one reader: area 0.893, standard error 0.032.
    assert auroc_error(0.893, 51, 58) == pytest.approx(0.032, abs=1e-3)


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
    assert score_interval("auroc", 1.0, counts) is None
    assert score_interval("auroc", 0.9, {"no": 90, "yes": 0}) is None
    assert score_interval("accuracy", 0.9, {}) is None
    assert score_interval("recall", 0.5, counts) == share_interval(0.5, 10)
    assert score_interval("fpr", 0.1, counts) == share_interval(0.1, 90)
    assert score_interval("auroc", 0.9, counts) == auroc_interval(0.9, 10, 90)
