"""Recipes of the controller's training: the paper's, and stronger ones for few rewards."""

from dataclasses import dataclass, replace

from nas.errors import SearchError

ADVANTAGES = ("baseline", "normalised", "rank")  # of nas.controller.reinforce.advantages


@dataclass(frozen=True)
class Recipe:
    """Settings of the controller's logits and of its REINFORCE updates; the defaults are the paper's.

    Efficient Neural Architecture Search via Parameter Sharing (Pham et al., 2018), arXiv:1802.03268, section 3.2 and
    the authors' macro search script. Raises SearchError for a setting outside its range.
    """

    temperature: float | None = 5.0
    tanh_constant: float | None = 2.5
    learning_rate: float = 3.5e-4  # Adam
    baseline_decay: float = 0.99  # weight of the old value in the moving average of rewards
    advantage: str = "baseline"  # reward - baseline; "normalised" by the batch's mean and deviation; "rank" in it
    entropy_weight: float = 0.1  # per nat of the whole architecture
    entropy_final: float | None = None  # the weight falls (or rises) linearly to this ...
    entropy_updates: int = 0  # ... over this many updates
    skip_weight: float = 0.8
    skip_target: float = 0.4
    gradient_clip: float | None = 5.0
    passes: int = 1  # gradient steps per batch of rewards
    ratio_clip: float | None = None  # PPO's epsilon (arXiv:1707.06347, eq. 7), for more than one pass
    memory: int = 0  # so many best architectures take part in each update
    neighbours: float = 0.0  # share of a batch next to the best ones, where no network is asked for twice

    def __post_init__(self) -> None:
        if self.advantage not in ADVANTAGES:
            raise SearchError(f"advantage must be one of {', '.join(ADVANTAGES)}, not {self.advantage!r}.")
        for name, low, high in (
            ("learning_rate", 0.0, 1.0),
            ("baseline_decay", 0.0, 1.0),
            ("entropy_weight", 0.0, 1e6),
            ("entropy_final", 0.0, 1e6),
            ("entropy_updates", 0, 10**9),
            ("skip_weight", 0.0, 1e6),
            ("gradient_clip", 1e-9, 1e9),
            ("passes", 1, 1000),
            ("ratio_clip", 1e-9, 1e9),
            ("memory", 0, 10_000),
            ("neighbours", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise SearchError(f"{name} must lie in {low} .. {high}, not {value}.")

    def entropy_at(self, updates: int) -> float:
        """The entropy weight after `updates` updates."""
        if self.entropy_final is None:
            return self.entropy_weight
        done = min(1.0, updates / self.entropy_updates) if self.entropy_updates else 1.0
        return self.entropy_weight + done * (self.entropy_final - self.entropy_weight)


PAPER = Recipe()

# For noisy rewards that grow while the shared weights learn. Chosen on the 6,561 trained networks of NAS-Bench-Macro,
# see benchmarks/strategies_on_table.py.
STRONG = Recipe(
    temperature=None,
    learning_rate=7e-3,
    advantage="rank",
    entropy_weight=0.01,
    skip_weight=0.0,
    passes=2,
    ratio_clip=0.2,
)

# For rewards that are the same whenever they are asked for: with noise, a lucky reward would be held on to.
REMEMBERING = replace(STRONG, memory=8, neighbours=0.5)

RECIPES = {"paper": PAPER, "strong": STRONG, "remembering": REMEMBERING}
