"""The strategy that ``strategy = "auto"`` stands for, by the number of training images and what a training costs.

Two figures of docs/results.md decide. "A Gaussian process over the decisions": with some dozen trainings `surrogate`
is ahead of every other strategy that trains. "How shared weights rank": they rank less well than trainings do, yet cost
the same however many networks are asked for. So short trainings are taken where they are long enough to say something
and cost about what shared weights cost, and ENAS everywhere else: with few images a short training has hardly begun,
with many it is dear. Whole searches of both have not been set beside each other there; change the rule with the
figures.
"""

from dataclasses import replace
from typing import NamedTuple

from nas.settings import AUTO, JobSettings

SCORING = 3.0  # a pass forward costs so much less than a training step, image for image


class Rule(NamedTuple):
    """A strategy, and between which bounds it is taken; bounds of 0 and infinity hold always.

    steps: of one short training at least. cost: of all short trainings, as a multiple of what ENAS costs, at most.
    """

    strategy: str
    steps: float
    cost: float
    why: str


# The first that holds.
RULES = (
    Rule("surrogate", 40, 1.5, "short trainings are long enough to rank by, and cost about what shared weights cost"),
    Rule("enas", 0, float("inf"), "shared weights cost less than short trainings that are long enough to rank by"),
)


class Chosen(NamedTuple):
    """The strategy, and why in a sentence."""

    strategy: str
    sentence: str


def choose_strategy(settings: JobSettings, train: int, val: int) -> Chosen:
    """The first rule that holds for so many images."""
    steps, cost = trial_steps(settings, train), relative_cost(settings, train, val)
    rule = next(rule for rule in RULES if steps >= rule.steps and cost <= rule.cost)
    return Chosen(
        rule.strategy,
        f"search.strategy auto takes {rule.strategy}: {rule.why} ({train:,} training images, {steps} steps per short "
        f"training, {settings.trials} of them {cost:.1f} times the work of enas).",
    )


def resolved(settings: JobSettings, train: int, val: int) -> tuple[JobSettings, str]:
    """The settings with a strategy that can be run, and why it is that; empty where it was named."""
    if settings.strategy != AUTO:
        return settings, ""
    chosen = choose_strategy(settings, train, val)
    return replace(settings, strategy=chosen.strategy), chosen.sentence


def trial_steps(settings: JobSettings, train: int) -> int:
    """Steps of one short training."""
    return settings.trial_epochs * settings.retrain.steps(train)


def relative_cost(settings: JobSettings, train: int, val: int) -> float:
    """Images that all short trainings learn from, as a multiple of what ENAS learns from and scores."""
    search = settings.search
    trials = settings.trials * trial_steps(settings, train) * min(settings.retrain.batch_size, train)
    child = search.epochs * search.steps(train) * min(search.batch_size, train)
    rewards = (search.epochs - search.warmup_epochs) * search.updates_per_epoch * search.samples_per_update
    scored = rewards * min(search.reward_images or val, val) + settings.candidates * val
    return trials / (child + scored / SCORING)
