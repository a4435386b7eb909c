"""NNI's own multi-trial strategies on our spaces: their sampling code, driven by an engine that asks for a reward.

Neural Network Intelligence (Microsoft), version 3.0. NNI's engines start trials or processes; ours calls the reward
and answers at once, so that nothing is written and a query costs little. Importing `nni.nas` needs pytorch-lightning:
this module is imported when one of its strategies is called, not before.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from foundation.provenance import seed_of
from nas.errors import SearchError
from nas.strategies.controller import Query
from nas.strategies.nni_extra import quiet_nni, require_nni
from search_spaces import Architecture, Space

require_nni()
with quiet_nni():
    from nni.mutable import LabeledMutable, Mutable, SampleValidationError
    from nni.nas.execution import ExecutionEngine
    from nni.nas.execution.event import FinalMetricEvent, TrainingEndEvent
    from nni.nas.space import ExecutableModelSpace, ModelStatus
    from nni.nas.strategy import Random, RegularizedEvolution
    from nni.nas.strategy.base import Strategy as NniStrategy

Sample = Mapping[str, Any]


class Choices(ExecutableModelSpace):  # type: ignore[misc]
    """One of our spaces as NNI's strategies take it; with a `sample` (decision name -> choice) one architecture."""

    def __init__(self, space: Space, sample: Sample | None = None) -> None:
        super().__init__(ModelStatus.Initialized if sample is None else ModelStatus.Frozen)
        self.space, self.sample = space, sample
        self.evaluator = None

    def freeze(self, sample: Sample) -> "Choices":
        """The architecture that answers every decision as `sample` does."""
        return Choices(self.space, dict(sample))

    def check_contains(self, sample: Sample) -> SampleValidationError | None:
        """What is wrong with a sample, None when nothing is."""
        return self.space.mutable.check_contains(sample)

    def leaf_mutables(self, is_leaf: Callable[[Mutable], bool]) -> Iterable[LabeledMutable]:
        """The decisions, as NNI walks over them."""
        yield from self.space.mutable.leaf_mutables(is_leaf)

    def architecture(self) -> Architecture:
        """The architecture of a frozen space."""
        assert self.sample is not None
        return self.space.architecture(
            [decision.index(self.sample[decision.name]) for decision in self.space.decisions]
        )


class RewardEngine(ExecutionEngine):  # type: ignore[misc]
    """Answers each architecture with its reward, at once and in this process, until the budget is spent."""

    def __init__(self, reward: Callable[[Architecture], float], budget: int) -> None:
        super().__init__()
        self.reward, self.budget = reward, budget
        self.queries: list[Query] = []

    def submit_models(self, *models: Choices) -> None:
        """Ask for the rewards, and tell the strategy."""
        for model in models:
            architecture = model.architecture()
            reward = float(self.reward(architecture))
            self.queries.append(Query(architecture, reward))
            self.dispatch_model_event(FinalMetricEvent(model, reward))
            self.dispatch_model_event(TrainingEndEvent(model, ModelStatus.Trained))

    def idle_worker_available(self) -> bool:
        """Always: nothing runs on after `submit_models`."""
        return True

    def budget_available(self) -> bool:
        """Whether another query may be made."""
        return len(self.queries) < self.budget

    def wait_models(self, *models: Choices) -> None:
        """Nothing to wait for."""


def random(
    space: Space, reward: Callable[[Architecture], float], budget: int, *, seed: int, dedup: bool = True
) -> list[Query]:
    """NNI's `Random`; with `dedup` no choices come twice, and 500 draws in a row without new ones end it."""
    return run(Random(dedup=dedup, seed=nni_seed(seed)), space, reward, budget)


def evolution(
    space: Space,
    reward: Callable[[Architecture], float],
    budget: int,
    *,
    seed: int,
    population: int | None = None,
    tournament: int | None = None,
    mutation: float | None = None,
    dedup: bool = True,
) -> list[Query]:
    """NNI's `RegularizedEvolution`: Real et al. (2019), arXiv:1802.01548, where each decision mutates by chance.

    Left out, `population` is NNI's 100, but a fifth of the budget where that is less (with 100 of 100 queries nothing
    would evolve); `tournament` a quarter of it, as NNI's; `mutation` NNI's 0.05, or one decision on average where that
    is more. With `dedup` no choices come twice, and 500 children in a row without new ones end the search.
    """
    population = min(100, max(2, budget // 5)) if population is None else population
    tournament = max(1, population // 4) if tournament is None else tournament
    mutation = max(0.05, 1 / len(space.decisions)) if mutation is None else mutation
    strategy = RegularizedEvolution(
        population_size=population,
        sample_size=tournament,
        mutation_prob=mutation,
        dedup=dedup,
        seed=nni_seed(seed),
    )
    return run(strategy, space, reward, budget)


def run(strategy: NniStrategy, space: Space, reward: Callable[[Architecture], float], budget: int) -> list[Query]:
    """Drive a strategy of NNI's until it stops or the budget is spent. Raises SearchError for no budget."""
    if budget < 1:
        raise SearchError(f"The budget must be at least 1 query, is {budget}.")
    engine = RewardEngine(reward, budget)
    with quiet_nni():
        strategy(Choices(space), engine)
    return engine.queries


def nni_seed(seed: int) -> int:
    """The 32 bits that NNI's generator takes."""
    return seed_of(seed, "nni") % 2**32
