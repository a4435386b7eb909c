"""How a search's shared weights and controller are trained, and what its architectures must keep."""

from dataclasses import dataclass
from typing import Annotated

from branches.metrics import REWARDS
from branches.settings import BALANCES
from foundation.bounds import Count, Factor, Index, NonNegative, OneOf, Pair, Part, Positive, check_fields
from nas.errors import SearchError
from nas.limits import Limits

# The names alone, so that no torch is needed to read them; a test holds them against what they name.
SEARCH_STRATEGIES = ("enas", "controller", "random", "local", "nni-random", "nni-evolution", "nni-darts")
RECIPES = ("paper", "strong", "remembering")
RULES = ("best", "smallest_within")


@dataclass(frozen=True)
class SearchSettings:
    """How shared weights and controller are trained.

    An epoch is one pass over the training split, and on until ``min_steps`` batches are done, and then
    ``updates_per_epoch`` controller updates, each on ``samples_per_update`` architectures whose reward is measured on
    ``reward_images`` val images (0: all of them).
    ``parameter_penalty`` is subtracted from the reward per million parameters of the branch. ``recipe`` names the
    controller's settings in :mod:`nas.recipes`. ``max_parameters``, ``max_macs`` and ``max_latency`` (milliseconds per
    ``latency_batch`` images on this device) are limits that every architecture drawn keeps; 0 for none. Of the paths
    that train the shared weights, ``fair_share`` are drawn fairly (:mod:`nas.fairness`) and the rest by the controller;
    in the warm-up all are. 0 is ENAS's own way.
    """

    epochs: Count = 20
    warmup_epochs: Index = 4
    min_steps: Index = 60
    batch_size: Pair = 128
    learning_rate: Positive = 2e-3
    weight_decay: NonNegative = 0.02
    balance: Annotated[str, OneOf(BALANCES)] = "sampling"
    updates_per_epoch: Count = 10
    samples_per_update: Count = 8
    reward: Annotated[str, OneOf(tuple(REWARDS))] = "auroc"
    reward_images: Index = 1000
    parameter_penalty: NonNegative = 0.0
    recipe: Annotated[str, OneOf(RECIPES)] = "strong"
    hidden: Count = 64
    fair_share: Part = 1.0
    max_parameters: Index = 0
    max_macs: NonNegative = 0
    max_latency: NonNegative = 0
    latency_batch: Count = 1

    @property
    def limits(self) -> Limits:
        """The three limits as one."""
        return Limits(self.max_parameters, self.max_macs, self.max_latency)

    def steps(self, images: int) -> int:
        """Batches of an epoch over so many training images."""
        return max(1, self.min_steps, images // self.batch_size)

    def __post_init__(self) -> None:
        self.limits  # noqa: B018 (raises for a limit that cannot be)
        check_fields(self, SearchError, "search.")


@dataclass(frozen=True, kw_only=True)
class ChoosingSettings:
    """How architectures are proposed and the winner is chosen among them; see `nas.settings.JobSettings`."""

    strategy: Annotated[str, OneOf(SEARCH_STRATEGIES)] = "enas"
    trials: Count = 40
    trial_epochs: Count = 3
    candidates: Count = 100
    retrain_top: Count = 4
    apart: Factor = 1.5
    winner: Annotated[str, OneOf(RULES)] = "best"
    winner_tolerance: NonNegative = 1.0
