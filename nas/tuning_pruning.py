"""When a trial is stopped early: it scores below the median of finished trials that are no larger than it is.

Google Vizier's median stopping rule (Golovin et al., 2017), section 3.2. Optuna prunes no study of two objectives, so
this is our own form for them: only trials that cost at most as much as this one are asked, for those alone can keep it
off the front. A trial that is smaller than most is judged by few or by nobody, and runs to its end.
"""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

LEAST_PEERS = 4  # fewer have no say
FREE_EPOCHS, FREE_SHARE = 2, 0.25  # before so many epochs, or this share of all, scores say little


class Peer(NamedTuple):
    """A finished trial: its best val score after each epoch so far, and what it cost (None: one objective only)."""

    best: tuple[float, ...]
    second: float | None


def unpromising(epoch: int, best: float, second: float | None, peers: Sequence[Peer]) -> str | None:
    """Why a trial should stop after `epoch` (from 1) with its best score so far; None where it should go on.

    >>> unpromising(2, 0.7, 100, [Peer((0.6, 0.8), 90)] * 4)
    'after epoch 2 it is at 0.7000, below 0.8000, the median of the 4 trials that cost no more'
    >>> unpromising(2, 0.7, 80, [Peer((0.6, 0.8), 90)] * 4)
    """
    if epoch < FREE_EPOCHS:
        return None
    there = [
        peer.best[epoch - 1]
        for peer in peers
        if FREE_SHARE * len(peer.best) <= epoch <= len(peer.best)
        and (second is None or peer.second is None or peer.second <= second)
    ]
    if len(there) < LEAST_PEERS or best >= median(there):
        return None
    which = "finished trials" if second is None else "trials that cost no more"
    return f"after epoch {epoch} it is at {best:.4f}, below {median(there):.4f}, the median of the {len(there)} {which}"
