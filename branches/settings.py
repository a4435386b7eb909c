"""Settings of one branch's training."""

from dataclasses import dataclass
from typing import Annotated

from branches.errors import BranchError
from branches.measures.metrics import REWARDS
from foundation.bounds import LATER, Count, Index, NonNegative, OneOf, Pair, Part, Positive, Share, check_fields

BALANCES = ("sampling", "weights", "none")
KEEPS = ("best", "last")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class FitRecipe:
    """How a branch is trained: [retrain] of graftnet.toml.

    `epochs` passes of as many images as the train split holds; `balance` against rare values: "sampling" (every batch
    holds all values in equal parts), "weights" (rare values weigh more in the loss) or "none"; `warmup_fraction` of all
    steps; `gradient_clip` on the global norm, 0 for none; `average`: decay of the running average of the weights that
    is scored and kept, 0 for none; `mirror`, `noise`, `mixup`: see `branches.training.augmented`; `keep` the weights
    of the "best" epoch on val, or of the "last"; `max_steps` batches an epoch at most, 0 for no bound: where the split
    holds more, an epoch is that part of a pass, and the next goes on behind it. `probe_start`: a branch whose head
    reads the trunk's averages begins at the linear probe on them, and its epoch 0, which is the probe, may be the best
    one; `probe_rate`: the share of the learning rate at which the probe's own weights move, 0 for frozen.
    """

    epochs: Count = 12
    batch_size: Pair = 128
    learning_rate: Positive = 2e-3
    weight_decay: NonNegative = 0.02
    warmup_fraction: Share = 0.1
    balance: Annotated[str, OneOf(BALANCES)] = "none"
    dropout: Share = 0.0
    label_smoothing: Share = 0.0
    gradient_clip: NonNegative = 5.0
    average: Share = 0.99
    mirror: bool = False
    noise: NonNegative = 0.0
    mixup: NonNegative = 0.0
    precision: Annotated[str, OneOf(PRECISIONS)] = "float32"
    keep: Annotated[str, OneOf(KEEPS)] = "best"
    probe_start: Annotated[bool, LATER] = True
    probe_rate: Annotated[Part, LATER] = 0.0
    max_steps: Annotated[Index, LATER] = 200


@dataclass(frozen=True)
class FitSettings(FitRecipe):
    """A recipe as `fit` takes it.

    `beta2` of AdamW; `metric` on the val split, a key of `branches.measures.metrics.REWARDS`, by which an epoch is the
    best.
    """

    beta2: float = 0.99
    metric: Annotated[str, OneOf(tuple(REWARDS))] = "auroc"

    def steps(self, images: int) -> int:
        """Batches of an epoch over so many training images."""
        steps = max(1, images // min(self.batch_size, images))
        return min(steps, self.max_steps or steps)

    def __post_init__(self) -> None:
        check_fields(self, BranchError)
