"""Intervals hold the chance of seeds and of images, and are never of no width."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import t as student

from branches.measures.metrics import Scores, accuracy, auroc
from nas.job.gains import (
    MANY,
    ROUNDS,
    Gain,
    Interval,
    Side,
    gain,
    half_width,
    interval,
    paired_error,
    redrawn,
    spread_of,
)

LABELS = np.arange(400) % 2
STILL = np.zeros(ROUNDS)


def scores(strength: float, seed: int) -> Scores:
    positive = 1 / (1 + np.exp(-strength * LABELS - np.random.default_rng(seed).normal(size=len(LABELS))))
    return np.stack([1 - positive, positive], 1)


def side(strength: float, seeds: Sequence[int], fixed: bool = False) -> Side:
    tables = [scores(strength, seed) for seed in seeds]
    return Side(tables, [auroc(table, LABELS) for table in tables], fixed)


def compared(ours: Side, theirs: Side) -> Gain:
    images = redrawn({"ours": ours, "theirs": theirs}, LABELS, "auroc", seed=0)
    spread = spread_of([ours.figures, theirs.figures])
    return gain(ours, theirs, images["ours"] - images["theirs"], LABELS, spread)


def test_both_chances_are_in_it() -> None:
    ours, theirs = side(2.0, [1, 2, 3]), side(1.9, [4, 5, 6])
    found = compared(ours, theirs)
    assert found.difference == pytest.approx(np.mean(ours.figures) - np.mean(theirs.figures))
    assert found.over == "images and seeds"
    of_seeds = np.sqrt((np.var(ours.figures, ddof=1) + np.var(theirs.figures, ddof=1)) / 2 * (1 / 3 + 1 / 3))
    width = found.high - found.low
    assert width > found.images_high - found.images_low
    assert width > 2 * 1.96 * of_seeds
    assert found.high - found.difference == pytest.approx(found.difference - found.low)


def test_the_seeds_part_is_students_interval_of_pooled_trainings() -> None:
    spread = spread_of([[0.91, 0.92, 0.915], [0.90, 0.906, 0.899], [0.7]])
    assert spread is not None
    pooled = (np.var([0.91, 0.92, 0.915], ddof=1) + np.var([0.90, 0.906, 0.899], ddof=1)) / 2
    assert spread.variance == pytest.approx(pooled)
    assert (spread.freedom, spread.of) == (4, "repeats")
    # So many images that their chance is nothing: two sides of three trainings, one of them alone beside a probe.
    images = np.random.default_rng(0).normal(0, 1e-9, ROUNDS)
    assert half_width(images, LABELS, spread, [3, 3]) == pytest.approx(
        student.ppf(0.975, 4) * (pooled * 2 / 3) ** 0.5, rel=1e-3
    )
    assert half_width(images, LABELS, spread, [1]) == pytest.approx(student.ppf(0.975, 4) * pooled**0.5, rel=1e-3)
    # And the images alone, where no seed plays a part.
    images = np.random.default_rng(0).normal(0, 0.01, ROUNDS)
    assert half_width(images, LABELS, spread, []) == pytest.approx(student.ppf(0.975, MANY) * images.std(ddof=1))


def test_one_training_gives_an_interval_of_some_width() -> None:
    once = compared(side(2.0, [1]), side(1.9, [4]))
    assert once.low < once.difference < once.high
    assert once.over == "images"  # nothing is known of the seeds
    perfect = Side([np.stack([1.0 - LABELS, LABELS * 1.0], 1)], [1.0])
    alike = compared(perfect, perfect)
    assert alike.difference == 0.0
    assert alike.low < 0 < alike.high
    own = interval(perfect, redrawn({"a": perfect}, LABELS, "auroc", seed=0)["a"], LABELS, None)
    assert own.high == 1.0
    assert 0.99 < own.low < 1.0


def test_trainings_of_other_architectures_stand_in_for_repeats() -> None:
    spread = spread_of([[0.9], [0.8]], [[0.90, 0.94], [0.91, 0.93, 0.92], [0.5]])
    assert spread is not None
    assert (spread.of, spread.freedom) == ("architectures", 3)
    assert spread.variance == pytest.approx((2 * 0.02**2 + 2 * 0.01**2) / 3)
    assert spread_of([[0.9]], [[0.8]]) is None


def test_an_interval_covers_what_it_says_at_one_training_and_at_three() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 3):
        inside = 0
        for _ in range(400):
            # A side's true figure is 0.8; each seed shifts it, and the images shift all sides alike.
            shift = rng.normal(0, 0.01)
            figures = [0.8 + shift + rng.normal(0, 0.02) for _ in range(count)]
            others = [[0.7 + shift + rng.normal(0, 0.02) for _ in range(3)] for _ in range(2)]
            images = rng.normal(0, 0.01, ROUNDS)
            found = interval(Side([scores(0, 0)] * count, figures), images, LABELS, spread_of(others))
            inside += found.low <= 0.8 <= found.high
        assert 0.91 <= inside / 400 <= 0.99, count


def test_the_paired_error_is_smaller_than_that_of_two_strangers() -> None:
    first = scores(1.0, 0)
    near = np.clip(first + np.random.default_rng(1).normal(0, 0.01, first.shape), 0, 1)
    paired = paired_error(first, near, LABELS, "auroc", seed=0)
    assert 0 < paired < 0.5 * paired_error(first, scores(1.0, 1), LABELS, "auroc", seed=0)
    assert paired_error(first, first, LABELS, "auroc", seed=0) == 0.0
    # Of shares it is known: the images that one side alone has right, within each value.
    ours, theirs = (table.argmax(1) == LABELS for table in (first, scores(0.5, 1)))
    apart = (ours.astype(float) - theirs).reshape(-1, 2)
    exact = np.sqrt((apart.var(0) / len(apart)).sum()) / 2
    assert accuracy(first, LABELS) == pytest.approx(ours.mean())
    assert paired_error(first, scores(0.5, 1), LABELS, "accuracy", seed=0) == pytest.approx(exact, rel=0.15)


def test_they_are_written_with_their_ends() -> None:
    assert str(Gain(0.02, -0.01, 0.05, 0.0, 0.0)) == "+0.0200 [-0.0100, +0.0500]"
    assert str(Interval(0.9, 0.85, 0.95)) == "0.9000 [0.8500, 0.9500]"
    assert not Gain(0.02, -0.01, 0.05, 0.0, 0.0).told_apart
