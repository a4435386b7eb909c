"""How a search's shared weights and controller are trained, and what its architectures must keep."""

from dataclasses import dataclass

from branches.metrics import REWARDS
from nas.errors import SearchError
from nas.limits import Limits
from nas.recipes import RECIPES


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

    epochs: int = 20
    warmup_epochs: int = 4
    min_steps: int = 60
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    balance: str = "sampling"
    updates_per_epoch: int = 10
    samples_per_update: int = 8
    reward: str = "auroc"
    reward_images: int = 1000
    parameter_penalty: float = 0.0
    recipe: str = "strong"
    hidden: int = 64
    fair_share: float = 1.0
    max_parameters: int = 0
    max_macs: float = 0
    max_latency: float = 0
    latency_batch: int = 1

    @property
    def limits(self) -> Limits:
        """The three limits as one."""
        return Limits(self.max_parameters, self.max_macs, self.max_latency)

    def steps(self, images: int) -> int:
        """Batches of an epoch over so many training images."""
        return max(1, self.min_steps, images // self.batch_size)

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise SearchError(f"search.reward must be one of {', '.join(REWARDS)}, is {self.reward!r}.")
        if self.recipe not in RECIPES:
            raise SearchError(f"search.recipe must be one of {', '.join(RECIPES)}, is {self.recipe!r}.")
        for name in ("epochs", "updates_per_epoch", "samples_per_update", "hidden", "latency_batch"):
            if getattr(self, name) < 1:
                raise SearchError(f"search.{name} must be at least 1, is {getattr(self, name)}.")
        if not 0 <= self.fair_share <= 1:
            raise SearchError(f"search.fair_share must lie in 0 .. 1, is {self.fair_share}.")
        for name in ("warmup_epochs", "min_steps", "reward_images", "parameter_penalty"):
            if getattr(self, name) < 0:
                raise SearchError(f"search.{name} must not be negative, is {getattr(self, name)}.")
        self.limits  # noqa: B018 (raises for a limit that cannot be)
