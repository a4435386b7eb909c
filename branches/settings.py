"""How one branch is trained."""

from dataclasses import dataclass

from branches.errors import BranchError
from branches.metrics import REWARDS

BALANCES = ("sampling", "weights", "none")
KEEPS = ("best", "last")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class FitSettings:
    """The recipe of `fit`.

    `epochs` passes of as many images as the train split holds; `balance` against rare values: "sampling" (every batch
    holds all values in equal parts), "weights" (rare values weigh more in the loss) or "none"; `warmup_fraction` of all
    steps; `gradient_clip` on the global norm, 0 for none; `average`: decay of the running average of the weights that
    is scored and kept, 0 for none; `mirror`, `noise`, `mixup`: see `branches.training.augmented`; `metric` on the
    val split, a key of `branches.metrics.REWARDS`; `keep` the weights of the "best" epoch by it, or of the "last".
    """

    epochs: int = 12
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup_fraction: float = 0.1
    beta2: float = 0.99
    balance: str = "none"
    dropout: float = 0.0
    label_smoothing: float = 0.0
    gradient_clip: float = 5.0
    average: float = 0.99
    mirror: bool = False
    noise: float = 0.0
    mixup: float = 0.0
    precision: str = "float32"
    metric: str = "auroc"
    keep: str = "best"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("balance", BALANCES),
            ("keep", KEEPS),
            ("precision", PRECISIONS),
            ("metric", tuple(REWARDS)),
        ):
            if getattr(self, name) not in allowed:
                raise BranchError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        for name, low in (("epochs", 1), ("batch_size", 2)):
            if getattr(self, name) < low:
                raise BranchError(f"{name} must be at least {low}, got {getattr(self, name)}")
        if self.learning_rate <= 0:
            raise BranchError(f"learning_rate must be above 0, got {self.learning_rate}")
        for name in ("dropout", "label_smoothing", "average", "warmup_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise BranchError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        for name in ("weight_decay", "noise", "mixup", "gradient_clip"):
            if getattr(self, name) < 0:
                raise BranchError(f"{name} must not be negative, got {getattr(self, name)}")
