"""What a search job is given: one attribute's features, and how much of everything is done with them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from branches.settings import FitSettings
from nas.enas import SearchSettings
from nas.errors import SearchError
from nas.winner import RULES
from search_spaces import Space
from trunk.features import LabelledFeatures

TailBuilder = Callable[[torch.Generator], nn.Module]


@dataclass(frozen=True)
class JobData:
    """One attribute's features and, where there is a backbone, the tail that a branch would replace."""

    attribute: str
    values: tuple[str, ...]
    train: LabelledFeatures
    val: LabelledFeatures
    test: LabelledFeatures | None = None
    tail: TailBuilder | None = None


@dataclass(frozen=True)
class JobSettings:
    """What a job does beside the search itself.

    candidates: so many architectures are ranked by the shared weights. retrain_top: so many of them are trained from
    scratch, and as many random architectures as the control. repeats: trainings of winner and best random architecture,
    the first included. winner, winner_tolerance: which retrained architecture wins, see `nas.winner`. tail: how the
    tail is trained; None leaves that control out.
    """

    space: Space
    search: SearchSettings = field(default_factory=SearchSettings)
    retrain: FitSettings = field(default_factory=FitSettings)
    candidates: int = 100
    retrain_top: int = 4
    repeats: int = 3
    winner: str = "best"
    winner_tolerance: float = 1.0
    threshold_by: str = "f1"
    random: bool = True
    probe: bool = True
    tail: FitSettings | None = field(
        default_factory=lambda: FitSettings(epochs=5, learning_rate=3e-4, weight_decay=0.05, precision="bfloat16")
    )

    def __post_init__(self) -> None:
        for name in ("candidates", "retrain_top", "repeats"):
            if getattr(self, name) < 1:
                raise SearchError(f"{name} must be at least 1, is {getattr(self, name)}.")
        if self.winner not in RULES:
            raise SearchError(f"search.winner must be one of {', '.join(RULES)}, is {self.winner!r}.")
        if not 0 <= self.winner_tolerance < float("inf"):
            raise SearchError(f"search.winner_tolerance must be 0 or more, is {self.winner_tolerance}.")
