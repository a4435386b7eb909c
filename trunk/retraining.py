"""When to train the trunk again: the policy of five to seven new labels.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.5: "the
trunk is trained once after 5-7 new labels are accumulated", and the branches are updated on it. Until then a new label
costs a branch alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from trunk.errors import TrunkError

State = Literal["wait", "due", "overdue"]


@dataclass(frozen=True)
class Policy:
    """So many new labels make a training worth its price, and so many more make it overdue.

    Raises:
        TrunkError: the numbers do not follow each other.
    """

    due: int = 5
    overdue: int = 7

    def __post_init__(self) -> None:
        if not 1 <= self.due <= self.overdue:
            raise TrunkError(
                f"trunk.retrain_overdue must be trunk.retrain_due ({self.due}) or more, and that 1 or more, is "
                f"{self.overdue}."
            )


class Advice(NamedTuple):
    """``added``: the labels that the trunk has not learnt from, in alphabetical order; ``state``: what to do about it.

    ``sentence``: the same in words.
    """

    state: State
    added: tuple[str, ...]
    sentence: str


def advise(learnt: Iterable[str], labels: Iterable[str], policy: Policy) -> Advice:
    """Compare the labels a trunk learnt from with those there are now.

    >>> advise(["bald"], ["bald", "hat"], Policy()).sentence
    '1 label since the last training of the trunk (hat); at 5 to 7 it is worth training again.'
    """
    added = tuple(sorted(set(labels) - set(learnt)))
    count = len(added)
    noun = "label" if count == 1 else "labels"
    named = f" ({', '.join(added)})" if added else ""
    since = f"{count or 'No'} {noun} since the last training of the trunk{named}"
    if count < policy.due:
        return Advice("wait", added, f"{since}; at {policy.due} to {policy.overdue} it is worth training again.")
    if count < policy.overdue:
        return Advice("due", added, f"{since}: it is worth training again, by {policy.overdue} at the latest.")
    return Advice("overdue", added, f"{since}: train it again, for {policy.overdue} are the most it should wait for.")
