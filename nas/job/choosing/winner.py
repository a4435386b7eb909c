"""Choose the winner of the retrained architectures, by val alone, and say why in a sentence.

"best": the highest val score. "smallest_within": the one with the fewest parameters among those whose val score is at
most so many standard errors below the best, as in the one-standard-error rule of Classification and Regression Trees
(Breiman, Friedman, Olshen, Stone, 1984), section 3.4.3: a difference that the val images cannot tell from chance should
not pay for a larger branch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from branches.measures.metrics import REWARDS, Scores

ROUNDS = 300


class Entry(NamedTuple):
    """One retrained architecture: its val score and probabilities (N, V), and its size."""

    score: float
    probabilities: Scores
    parameters: int


class Choice(NamedTuple):
    """The place of the winner among the entries, and how it was found, in words with the figures that decided."""

    position: int
    reason: str


def choose(
    entries: Sequence[Entry],
    labels: npt.NDArray[np.int64],
    metric: str,
    *,
    rule: str,
    tolerance: float,
    seed: int,
) -> Choice:
    """The winner of one entry or more; of equal scores the smaller one, of equal sizes the better one, then the first.

    tolerance: how many standard errors of the best's val score, by bootstrap over the val images, count as equal; 0
    makes both rules the same.
    """
    places = range(len(entries))
    best = max(places, key=lambda n: (entries[n].score, -entries[n].parameters))
    top = entries[best]
    if rule == "best" or not tolerance:
        return Choice(best, f"the one with the best val {metric}, {top.score:.4f}, won, the smaller one of equals")
    margin = tolerance * standard_error(top.probabilities, labels, metric, seed=seed)
    within = [n for n in places if entries[n].score >= top.score - margin]
    smallest = min(within, key=lambda n: (entries[n].parameters, -entries[n].score))
    chosen = entries[smallest]
    reason = (
        f"of the {len(within)} within {margin:.4f} of the best val {metric}, {top.score:.4f} ({tolerance:g} standard "
        f"error{'' if tolerance == 1 else 's'} of it, by bootstrap over {len(labels):,} val images), the one with the "
        f"fewest parameters won: {chosen.parameters:,} with val {metric} {chosen.score:.4f}, where the best has "
        f"{top.parameters:,}"
    )
    return Choice(smallest, reason)


def standard_error(probabilities: Scores, labels: npt.NDArray[np.int64], metric: str, *, seed: int) -> float:
    """The standard error of a metric over images, by bootstrap: redrawn with replacement within each value."""
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(labels == value) for value in np.unique(labels)]
    redrawn = []
    for _ in range(ROUNDS):
        draw = np.concatenate([rng.choice(group, len(group)) for group in groups])
        redrawn.append(REWARDS[metric](probabilities[draw], labels[draw]))
    return float(np.std(redrawn, ddof=1))
