"""Settings of a search and of its job, and the data of one attribute that both are given; no torch needed."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from branches.measures.metrics import REWARDS, THRESHOLD_RULES
from branches.settings import BALANCES, FitSettings
from foundation.bounds import (
    LATER,
    Count,
    Factor,
    Index,
    NonNegative,
    OneOf,
    Pair,
    Part,
    Positive,
    Threshold,
    check_fields,
)
from nas.controller.recipes import RECIPES
from nas.errors import SearchError
from nas.limits.limits import Limits
from search_spaces import Space

if TYPE_CHECKING:
    from branches.probe import Probe
    from branches.tails import TailBuilder
    from trunk.features.source import LabelledFeatures


BY_HAND = "by-hand"  # nothing is searched: the space is the tail's, with one architecture

# ENAS, those of nas.strategies.searches.STRATEGIES, DARTS
SEARCH_STRATEGIES = ("enas", "controller", "random", "local", "surrogate", "nni-random", "nni-evolution", "nni-darts")

AUTO = "auto"  # one of them, by nas.strategies.auto

WINNER_RULES = ("best", "smallest_within")  # of nas.job.choosing.winner
CHOICE_RULES = ("cheapest_within", "best", "searched")  # of nas.job.choosing.choice


@dataclass(frozen=True)
class JobData:
    """One attribute's features and, where there is a backbone, the tail that a branch would replace.

    chosen: builds the branch that was chosen by hand, where one was. backbone: whose blocks the tail is; a tail without
    it cannot be built again, so it is a control only. probe: the linear probe that branches begin at, where one was
    fitted for that (`nas.job.stages.probe_start`).
    """

    attribute: str
    values: tuple[str, ...]
    train: "LabelledFeatures"
    val: "LabelledFeatures"
    test: "LabelledFeatures | None" = None
    tail: "TailBuilder | None" = None
    chosen: "TailBuilder | None" = None
    backbone: str | None = None
    probe: "Probe | None" = None


@dataclass(frozen=True)
class SearchSettings:
    """How shared weights and controller are trained.

    An epoch is one pass over the training split, and on until ``min_steps`` batches are done, but no more than
    ``max_steps`` (0: no bound), and then ``updates_per_epoch`` controller updates, each on ``samples_per_update``
    architectures whose reward is measured on ``reward_images`` val images (0: all of them).
    ``parameter_penalty`` is subtracted from the reward per million parameters of the branch. ``recipe`` names the
    controller's settings in :mod:`nas.controller.recipes`. ``max_parameters``, ``max_macs`` and ``max_latency``
    (milliseconds per ``latency_batch`` images on this device) are limits that every architecture drawn keeps; 0 for
    none. Of the paths that train the shared weights, ``fair_share`` are drawn fairly (`nas.enas.fair_indices`) and the
    rest by the controller; in the warm-up all are. 0 is ENAS's own way.
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
    recipe: Annotated[str, OneOf(tuple(RECIPES))] = "strong"
    hidden: Count = 64
    fair_share: Part = 1.0
    max_parameters: Index = 0
    max_macs: NonNegative = 0
    max_latency: NonNegative = 0
    latency_batch: Count = 1
    max_steps: Annotated[Index, LATER] = 100

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
            max_steps=0,  # of a pass, of which an epoch takes `steps`
        )

    def steps(self, images: int) -> int:
        """Batches of an epoch over so many training images."""
        steps = max(1, self.min_steps, images // self.batch_size)
        return min(steps, self.max_steps or steps)

    def __post_init__(self) -> None:
        self.limits  # noqa: B018 (raises for a limit that cannot be)
        check_fields(self, SearchError, "search.")


@dataclass(frozen=True, kw_only=True)
class ChoosingSettings:
    """How architectures are proposed and the winner is chosen among them; see `JobSettings`."""

    strategy: Annotated[str, OneOf((*SEARCH_STRATEGIES, AUTO))] = "enas"
    trials: Count = 40
    trial_epochs: Count = 3
    candidates: Count = 100
    retrain_top: Count = 4
    apart: Factor = 1.5
    winner: Annotated[str, OneOf(WINNER_RULES)] = "best"
    winner_tolerance: NonNegative = 1.0
    choice: Annotated[str, OneOf(CHOICE_RULES), LATER] = "cheapest_within"
    choice_tolerance: Annotated[NonNegative, LATER] = 1.0
    minutes: Annotated[NonNegative, LATER] = 0.0
    finalists: Annotated[Index, LATER] = 0
    near_trainings: Annotated[Count, LATER] = 1
    least_val: Annotated[Index, LATER] = 0


@dataclass(frozen=True)
class JobSettings(ChoosingSettings):
    """What a job does beside the search itself.

    strategy: one of `SEARCH_STRATEGIES`, or `AUTO`, or `BY_HAND`, which trains the space's one tail (`nas.job.run`) and
    searches nothing; a multi-trial one (`nas.strategies.searches`) trains ``trials`` architectures from scratch for
    ``trial_epochs`` epochs, otherwise as in the retraining. candidates: so many architectures are ranked. retrain_top:
    so many of them are trained from scratch, and as many random architectures as the control. apart: those of "enas"
    differ in parameters by this factor at least, while there are such candidates; 1: no matter. repeats: trainings of
    winner and best random architecture, the first included. winner, winner_tolerance: which retrained architecture
    wins, see `nas.job.choosing.winner`. choice, choice_tolerance: which of winner and controls is the result, see
    `nas.job.choosing.choice`. rivals: other strategies that search too, and of whose candidates as many are retrained;
    their best are controls. tail: how the tail is trained; None leaves that control out. tail_share: of the job's work
    at most (`nas.job.stages.work.bounded_tail`); 1 for no bound. minutes: epochs, candidates and trainings are scaled
    to take about so long (`nas.job.stages.budget`); 0 takes them as they are. finalists: so many are trained
    shortly, and raced (`nas.job.choosing.racing`) until ``retrain_top`` are left; 0 for no race. near_trainings: so
    often each of several near equals is trained before one of them wins. least_val: where val has fewer images of a
    value, cross-validation over train and val chooses (`nas.job.stages.folds`). learning_curve: whether probe and
    winner are trained on parts of the images too (`nas.job.stages.learning_curve`).
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
    tail_share: Annotated[Threshold, LATER] = 0.33
    learning_curve: Annotated[bool, LATER] = True

    def __post_init__(self) -> None:
        if self.strategy not in (*SEARCH_STRATEGIES, AUTO, BY_HAND):
            known = ", ".join((*SEARCH_STRATEGIES, AUTO))
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
    def raced(self) -> int:
        """How many architectures race on each side; 0 for none."""
        return self.finalists if self.finalists > self.retrained > 1 else 0

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
