"""Settings of the trials: the project's own first, then what the tree-structured Parzen estimator proposes.

Algorithms for Hyper-Parameter Optimization (Bergstra et al., 2011), section 4, in its multi-objective form
(Ozaki et al., 2022) as Optuna has it. Different from it: each trial draws from a seed of its own slot, so that a study
which was killed and continued proposes what it would have proposed.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from foundation.provenance import seed_of
from nas.tuning.knobs import Setting
from nas.tuning.slots import slot_of

RANDOM = 10  # so many trials are drawn at random before the estimator has enough to go by


class SlotSampler(BaseSampler):
    """The estimator, seeded anew for each trial; `first` is the setting of slot 0, as far as the knobs allow it."""

    def __init__(self, seed: int, first: Setting) -> None:
        self.seed, self.first = seed, first
        self._current: tuple[int, int, TPESampler] | None = None  # trial number, slot, estimator

    def of(self, study: Study, trial: FrozenTrial) -> tuple[int, TPESampler]:
        """The slot of a trial, and its estimator."""
        if self._current is None or self._current[0] != trial.number:
            slot = slot_of(trial, study.get_trials(deepcopy=False))
            seed = seed_of(self.seed, "sampler", slot) % 2**32
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                estimator = TPESampler(seed=seed, n_startup_trials=RANDOM, multivariate=True, group=True)
            self._current = trial.number, slot, estimator
        return self._current[1:]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        slot, estimator = self.of(study, trial)
        return estimator.infer_relative_search_space(study, trial) if slot else {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        slot, estimator = self.of(study, trial)
        return estimator.sample_relative(study, trial, search_space) if slot else {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        slot, estimator = self.of(study, trial)
        if not slot and param_name in self.first:
            return self.first[param_name]
        return estimator.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.of(study, trial)[1].before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self.of(study, trial)[1].after_trial(study, trial, state, values)


def importances(study: Study, objective: int, seed: int) -> Mapping[str, float]:
    """The share of an objective's variance that each knob explains, by functional ANOVA over the finished trials.

    An Efficient Approach for Assessing Hyperparameter Importance (Hutter et al., 2014). Knobs that not every finished
    trial has are left out; empty for fewer than four trials, or where all scored alike.
    """
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = {trial.values[objective] for trial in finished}
    if len(finished) < 4 or len(values) < 2:
        return {}
    shares = optuna.importance.get_param_importances(
        study,
        evaluator=optuna.importance.FanovaImportanceEvaluator(seed=seed % 2**32),
        target=lambda trial: trial.values[objective],
    )
    return {name: float(value) for name, value in shares.items()}
