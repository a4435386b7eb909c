"""What a search is given: one attribute's features, how it is searched, and what a job does beside; no torch needed."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from branches.metrics import REWARDS
from branches.settings import FitSettings
from nas.errors import SearchError
from nas.limits import Limits
from nas.recipes import RECIPES
from search_spaces import Space

if TYPE_CHECKING:
    from branches.tails import TailBuilder
    from trunk.features import LabelledFeatures

BY_HAND = "by-hand"  # nothing is searched: the space is the tail's, with one architecture
# ENAS, those of nas.strategies.STRATEGIES, DARTS
SEARCH_STRATEGIES = ("enas", "controller", "random", "local", "nni-random", "nni-evolution", "nni-darts")
WINNER_RULES = ("best", "smallest_within")  # of nas.winner


@dataclass(frozen=True)
class JobData:
    """One attribute's features and, where there is a backbone, the tail that a branch would replace.

    chosen: builds the branch that was chosen by hand, where one was.
    """

    attribute: str
    values: tuple[str, ...]
    train: "LabelledFeatures"
    val: "LabelledFeatures"
    test: "LabelledFeatures | None" = None
    tail: "TailBuilder | None" = None
    chosen: "TailBuilder | None" = None


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

    @property
    def child(self) -> FitSettings:
        """How the shared weights are trained, as a branch's training has it, which checks the values."""
        return FitSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            balance=self.balance,
        )

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


@dataclass(frozen=True)
class JobSettings:
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
    strategy: str = "enas"
    trials: int = 40
    trial_epochs: int = 3
    retrain: FitSettings = field(default_factory=FitSettings)
    candidates: int = 100
    retrain_top: int = 4
    apart: float = 1.5
    repeats: int = 3
    winner: str = "best"
    winner_tolerance: float = 1.0
    threshold_by: str = "f1"
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
        for name in ("trials", "trial_epochs", "candidates", "retrain_top", "repeats"):
            if getattr(self, name) < 1:
                raise SearchError(f"{name} must be at least 1, is {getattr(self, name)}.")
        if not 1 <= self.apart < float("inf"):
            raise SearchError(f"search.apart must be 1 or more, is {self.apart}.")
        if self.winner not in WINNER_RULES:
            raise SearchError(f"search.winner must be one of {', '.join(WINNER_RULES)}, is {self.winner!r}.")
        if not 0 <= self.winner_tolerance < float("inf"):
            raise SearchError(f"search.winner_tolerance must be 0 or more, is {self.winner_tolerance}.")
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
