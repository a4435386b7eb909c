"""Intervals of test figures and of their differences, which hold the chance of the training's seed and of the images.

Both chances add up as variances: that of the images by a paired bootstrap (the same images redrawn for all sides, of a
side's trainings the mean), that of the seeds from trainings of one recipe, pooled over all sides that were repeated. So
an interval means the same whether a side was trained once or ten times; it is only wider.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from branches.measures.metrics import REWARDS, Floats, Labels, Scores

ROUNDS = 300
CONFIDENCE = 0.95
MANY = 10**6  # degrees of freedom of what is known as well as it will ever be


class Side(NamedTuple):
    """The trainings of one contestant: scores (N, V) of each on test, its figure, and whether seeds play no part."""

    scores: Sequence[Scores]
    figures: Sequence[float]
    fixed: bool = False

    @property
    def mean(self) -> float:
        return float(np.mean(self.figures))


class Spread(NamedTuple):
    """The variance of a figure from seed to seed, with its degrees of freedom.

    of: the "repeats" of one recipe, or where nothing was repeated trainings of different "architectures", which differ
    by more than their seeds: rather too wide than too narrow.
    """

    variance: float
    freedom: int
    of: str = "repeats"


class Gain(NamedTuple):
    """A difference of mean test figures with its 95 % interval over training seeds and test images.

    images_low, images_high: over the test images alone. over: what `low` and `high` hold; "images" where nothing is
    known of the seeds.
    """

    difference: float
    low: float
    high: float
    images_low: float
    images_high: float
    over: str = "images and seeds"

    def __str__(self) -> str:
        return f"{self.difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"

    @property
    def told_apart(self) -> bool:
        """Whether the interval holds no zero."""
        return self.low > 0 or self.high < 0


class Interval(NamedTuple):
    """A mean test figure with the ends of its 95 % interval, within 0 and 1."""

    mean: float
    low: float
    high: float
    over: str = "images and seeds"

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def spread_of(repeated: Sequence[Sequence[float]], others: Sequence[Sequence[float]] = ()) -> Spread | None:
    """The seeds' variance, pooled over all sides of which there are two figures or more.

    others: figures of trainings of different architectures, group by group, for where nothing was repeated.
    """
    for of, groups in (("repeats", repeated), ("architectures", others)):
        several = [np.asarray(group, dtype=np.float64) for group in groups if len(group) > 1]
        if several:
            freedom = sum(len(group) - 1 for group in several)
            squares = sum(float(((group - group.mean()) ** 2).sum()) for group in several)
            return Spread(squares / freedom, freedom, of)
    return None


def redrawn(sides: Mapping[str, Side], labels: Labels, metric: str, *, seed: int) -> dict[str, Floats]:
    """(ROUNDS,) figures of each side on images redrawn within each value, the mean over its trainings.

    The draws are the same for all sides, so that their differences are paired.
    """
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(labels == value) for value in np.unique(labels)]
    figures = {name: np.empty(ROUNDS) for name in sides}
    for n in range(ROUNDS):
        draw = np.concatenate([rng.choice(group, len(group)) for group in groups])
        for name, side in sides.items():
            figures[name][n] = np.mean([REWARDS[metric](scores[draw], labels[draw]) for scores in side.scores])
    return figures


def gain(ours: Side, theirs: Side, images: Floats, labels: Labels, spread: Spread | None) -> Gain:
    """`ours` above `theirs`; images: (ROUNDS,) differences on redrawn images."""
    difference = ours.mean - theirs.mean
    half = half_width(images, labels, spread, [len(side.scores) for side in (ours, theirs) if not side.fixed])
    low, high = np.percentile(images, [100 * (1 - CONFIDENCE) / 2, 100 * (1 + CONFIDENCE) / 2])
    seeds_known = spread is not None or (ours.fixed and theirs.fixed)
    over = "images and seeds" if seeds_known else "images"
    return Gain(difference, difference - half, difference + half, float(low), float(high), over)


def interval(side: Side, images: Floats, labels: Labels, spread: Spread | None) -> Interval:
    """A side's own mean with its interval; images: (ROUNDS,) figures on redrawn images."""
    half = half_width(images, labels, spread, [] if side.fixed else [len(side.scores)])
    over = "images and seeds" if spread is not None or side.fixed else "images"
    return Interval(side.mean, max(0.0, side.mean - half), min(1.0, side.mean + half), over)


def half_width(images: Floats, labels: Labels, spread: Spread | None, trainings: Sequence[int]) -> float:
    """Half of a 95 % interval: Student's t, with Welch's and Satterthwaite's degrees of freedom for the sum.

    trainings: how often each side was trained whose seed is drawn by chance.
    """
    of_images = float(np.var(images, ddof=1))
    if not of_images:
        # No redrawn image changes anything, as where all are right; half an image of the rarest value still may.
        of_images = (0.5 / int(np.unique(labels, return_counts=True)[1].min())) ** 2
    of_seeds = spread.variance * sum(1 / count for count in trainings) if spread else 0.0
    variance = of_images + of_seeds
    freedom = variance**2 / (of_seeds**2 / spread.freedom + of_images**2 / MANY) if spread else MANY
    half: float = student.ppf((1 + CONFIDENCE) / 2, freedom) * variance**0.5
    return float(half)


def paired_error(ours: Scores, theirs: Scores, labels: npt.NDArray[np.int64], metric: str, *, seed: int) -> float:
    """The standard error of the difference of two trained modules over images, by paired bootstrap."""
    sides = {name: Side([scores], [0.0]) for name, scores in (("ours", ours), ("theirs", theirs))}
    figures = redrawn(sides, labels, metric, seed=seed)
    return float(np.std(figures["ours"] - figures["theirs"], ddof=1))
