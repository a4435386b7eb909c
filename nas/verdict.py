"""What a search gained, in figures with intervals and in one sentence."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from branches.metrics import title_of


class Gain(NamedTuple):
    """A difference of mean test figures with its 95 % interval over training seeds, and one over test images.

    low, high: Welch's t interval over the repeated trainings, or the one over images when neither side was repeated.
    images_low, images_high: paired bootstrap over the test images, first training of each side.
    """

    difference: float
    low: float
    high: float
    images_low: float
    images_high: float

    def __str__(self) -> str:
        return f"{self.difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def gain(
    ours: Sequence[float], theirs: Sequence[float], images: tuple[float, float, float], *, fixed: bool = False
) -> Gain:
    """``ours`` above ``theirs``: one test figure per training seed on each side; ``images`` from the bootstrap.

    fixed: nothing in their training is drawn at random, so that one training says all (the linear probe).
    """
    difference = float(np.mean(ours) - np.mean(theirs))
    if len(ours) == len(theirs) == 1 or (len(ours) == 1 and fixed):
        return Gain(difference, images[1], images[2], images[1], images[2])
    half = welch_half_width(ours, theirs, fixed=fixed)
    return Gain(difference, difference - half, difference + half, images[1], images[2])


def welch_half_width(
    ours: Sequence[float], theirs: Sequence[float], *, fixed: bool = False, confidence: float = 0.95
) -> float:
    """Half the width of Welch's t interval for a difference of means.

    A side trained once borrows the other side's variance; one that is ``fixed`` has none.
    """
    repeated = [side for side in (ours, theirs) if len(side) > 1]
    spread = {id(side): float(np.var(side, ddof=1)) for side in repeated}
    borrowed = max(spread.values())
    sides = [ours] if fixed else [ours, theirs]
    parts = [(spread.get(id(side), borrowed) / len(side), max(len(side), min(map(len, repeated)))) for side in sides]
    variance = float(sum(part for part, _ in parts))
    if variance == 0.0:
        return 0.0
    freedom = variance**2 / sum(part**2 / (count - 1) for part, count in parts)
    half: float = student.ppf((1 + confidence) / 2, freedom) * variance**0.5
    return float(half)


def sentence(
    metric: str, score: float, repeats: int, gains: dict[str, Gain], reduction: float | None, random: int
) -> str:
    """The verdict: what the search gained over random at equal budget, and whether the branch is worth having."""
    parts = [f"Test {title_of(metric)} {score:.4f} (mean of {repeats} trainings)"]
    if reduction:  # the whole tail has no share of itself to tell
        parts[0] += f" with {abs(reduction):.1%} {'fewer' if reduction >= 0 else 'more'} parameters than the tail"
    over = gains.get("over_random")
    if over is not None:
        parts.append(
            f"the search gained {over} over the best of {random} random architectures trained alike "
            f"({significance(over)})"
        )
    probe = gains.get("over_linear_probe")
    if probe is not None:
        worth = "" if probe.low > 0 else ", which is not more than the interval: use the probe"
        parts.append(f"{probe} over a linear probe{worth}")
    for rival, over in gains.items():
        if rival not in ("over_random", "over_linear_probe", "over_tail"):
            parts.append(f"{over} over the best that {rival.removeprefix('over_')} found")
    if "over_tail" in gains:
        parts.append(f"{gains['over_tail']} over the fine-tuned tail")
    return "; ".join(parts) + "."


def significance(over: Gain) -> str:
    if over.low > 0:
        return "a gain beyond the interval"
    return "a loss beyond the interval" if over.high < 0 else "within the interval: no better than random"
