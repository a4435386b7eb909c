"""What a search job is given: one attribute's features, and how much of everything is done with them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import nn

from branches.metrics import THRESHOLD_RULES
from branches.settings import FitSettings
from foundation.bounds import Count, OneOf, check_fields
from nas.errors import SearchError
from nas.search_settings import SEARCH_STRATEGIES as SEARCH_STRATEGIES
from nas.search_settings import ChoosingSettings, SearchSettings
from search_spaces import Space
from trunk.features import LabelledFeatures

BY_HAND = "by-hand"  # nothing is searched: the space is the tail's, with one architecture
TailBuilder = Callable[[torch.Generator], nn.Module]


@dataclass(frozen=True)
class JobData:
    """One attribute's features and, where there is a backbone, the tail that a branch would replace.

    chosen: builds the branch that was chosen by hand, where one was.
    """

    attribute: str
    values: tuple[str, ...]
    train: LabelledFeatures
    val: LabelledFeatures
    test: LabelledFeatures | None = None
    tail: TailBuilder | None = None
    chosen: TailBuilder | None = None


@dataclass(frozen=True)
class JobSettings(ChoosingSettings):
    """What a job does beside the search itself.

    strategy: one of `SEARCH_STRATEGIES`, or `BY_HAND`, which trains the space's one tail (`nas.tail_job`) and searches
    nothing; a multi-trial one (`nas.strategies`) trains ``trials`` architectures from scratch for ``trial_epochs``
    epochs, otherwise as in the retraining. candidates: so many architectures are ranked. retrain_top: so many of them
    are trained from scratch, and as many random architectures as the control. apart: those of "enas" differ in
    parameters by this factor at least, while there are such candidates; 1: no matter. repeats: trainings of winner and
    best random architecture, the first included. winner, winner_tolerance: which retrained architecture wins, see
    `nas.winner`. rivals: other strategies that search too, and of whose candidates as many are retrained; their best
    are controls. tail: how the tail is trained; None leaves that control out.
    """

    space: Space
    search: SearchSettings = field(default_factory=SearchSettings)
    strategy: str = field(default=ChoosingSettings.strategy, kw_only=True)  # BY_HAND too
    retrain: FitSettings = field(default_factory=FitSettings)
    repeats: Count = 3
    threshold_by: Annotated[str, OneOf(THRESHOLD_RULES)] = "f1"
    random: bool = True
    rivals: tuple[str, ...] = ()
    probe: bool = True
    tail: FitSettings | None = field(
        default_factory=lambda: FitSettings(epochs=5, learning_rate=3e-4, weight_decay=0.05, precision="bfloat16")
    )

    def __post_init__(self) -> None:
        if self.strategy not in (*SEARCH_STRATEGIES, BY_HAND):
            known = ", ".join(SEARCH_STRATEGIES)
            raise SearchError(f"search.strategy must be one of {known}, is {self.strategy!r}.")
        taken = {"enas", "random", self.strategy}
        if len({*taken, *self.rivals}) < len(taken) + len(self.rivals):
            raise SearchError(
                f"The strategies to compare with must differ from one another, from the search's own ({self.strategy}) "
                f"and from 'enas' and 'random'; remove some of {', '.join(self.rivals)}."
            )
        check_fields(self, SearchError, "search.")
        theirs = [name for name in (self.strategy, *self.rivals) if name.startswith("nni-")]
        if self.search.limits and theirs:
            raise SearchError(
                f"{theirs[0]} draws as NNI draws and keeps no limits; take the limits out, or choose another strategy."
            )

    @property
    def retrained(self) -> int:
        """How many candidates the search has for retraining: DARTS ends in one architecture."""
        return 1 if self.strategy == "nni-darts" else self.retrain_top

    @property
    def finalists_apart(self) -> float:
        """The least factor between the parameters of two retrained candidates.

        Short trainings rank well enough to be taken at their word; shared weights favour a size, and a policy that has
        settled proposes near copies of one network.
        """
        return self.apart if self.strategy == "enas" else 1.0

    @property
    def judge(self) -> str:
        """What ranks the candidates, as the result says it."""
        names = {"enas": "the shared weights rank", "nni-darts": "DARTS's likeliest choices rank"}
        return names.get(self.strategy, "trainings of a few epochs rank")
