"""Settings of a trunk's pre-training, the learning rate they give each step, and the policy of when to train again.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.5: "the
trunk is trained once after 5-7 new labels are accumulated", and the branches are updated on it. Until then a new label
costs a branch alone.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal, NamedTuple

from foundation.bounds import LATER, Count, Index, NonNegative, OneOf, Pair, Positive, Share, Threshold, check_fields
from trunk.errors import TrunkError
from trunk.precision import PRECISIONS

POWERS = {"uniform": 0.0, "sqrt": 0.5, "size": 1.0}  # of an attribute's number of training images
SAMPLINGS = tuple(POWERS)
BATCH_STATISTICS = ("step", "attribute")
LOSSES = ("sum", "mean")
TUNE_NORMS = ("trained", "kept")
METHODS = ("dynamic", "multi_label", "indeed")
NORMALISATIONS = ("minmax", "l2")
BLOCKS = ("both", "identical", "disparate")


@dataclass(frozen=True)
class PretrainSettings:
    """The recipe of :class:`~trunk.pretraining.loop.Pretraining`; the paper: one attribute per step, unshared labels.

    attributes_per_step: at most; fewer where there are fewer, or where a step's batch would hold less than two images
        of each.
    shared_labels: labels that an image has in other sub-datasets count too.
    sampling: how often an attribute is drawn: all alike, or by (the root of) its number of training images.
    losses: of several attributes in a step, their "sum" (eq. 1) or "mean".
    batch_statistics: what batch normalisation takes together, all images of a "step" or those of each "attribute".
    reestimate_images: at the end, the statistics that evaluation uses are measured anew on so many training images,
        every image of every sub-dataset as likely; 0 keeps the running averages of training.
    pad: images are reflect-padded by this fraction of their side and cropped back at random; 0 turns it off.
    jitter: brightness, contrast and saturation change by factors within 1 ± jitter.
    erase: a square of this fraction of the side is greyed out somewhere.
    val_images: at most so many val images per attribute are scored at each validation.
    tune_steps, tune_learning_rate: of a training that begins from given weights, in place of steps, learning_rate.
    tune_stem: the first block learns at this share of the rate; from block to block it rises to the whole.
    tune_frozen: so many first blocks stay as they are.
    tune_head_steps: the linear layers learn alone for so long.
    tune_norms: batch norm's statistics are "kept" as they were given, or "trained" with the weights.
    """

    steps: Count = 6000
    batch_size: Pair = 64
    attributes_per_step: Count = 8
    sampling: Annotated[str, OneOf(SAMPLINGS)] = "uniform"
    losses: Annotated[str, OneOf(LOSSES)] = "sum"
    shared_labels: bool = True
    balanced: bool = True
    batch_statistics: Annotated[str, OneOf(BATCH_STATISTICS)] = "step"
    reestimate_images: Index = 0
    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 0.02
    warmup_steps: Index = 200
    gradient_clip: NonNegative = 5.0
    flip: bool = True
    pad: Share = 0.125
    jitter: Share = 0.0
    erase: Share = 0.0
    precision: Annotated[str, OneOf(PRECISIONS)] = "auto"
    validate_every: Count = 500
    checkpoint_every: Count = 200
    val_images: Count = 500
    tune_steps: Annotated[Count, LATER] = 400
    tune_learning_rate: Annotated[Positive, LATER] = 1e-4
    tune_stem: Annotated[Threshold, LATER] = 0.1
    tune_frozen: Annotated[Index, LATER] = 0
    tune_head_steps: Annotated[Index, LATER] = 100
    tune_norms: Annotated[str, OneOf(TUNE_NORMS), LATER] = "kept"

    def __post_init__(self) -> None:
        check_fields(self, TrunkError, "trunk.")


def settings_from(settings: PretrainSettings, *, weights: bool) -> PretrainSettings:
    """The settings of a training that begins from given weights, or from random ones.

    What the other kind alone has is as it is by default, so that it names no other version.
    """
    if weights:
        return replace(settings, steps=settings.tune_steps, learning_rate=settings.tune_learning_rate)
    usual: dict[str, Any] = {field.name: field.default for field in fields(settings) if field.name.startswith("tune_")}
    return replace(settings, **usual)


@dataclass(frozen=True)
class IndeedSettings:
    """How the identical map is normalised (eq. 3 or 4), lambda (eq. 6), and which blocks take part.

    The paper finds min-max better on clean composites, L2 on natural photographs; it does not state its lambda.
    """

    normalisation: Annotated[str, OneOf(NORMALISATIONS)] = "minmax"
    weight: NonNegative = 1.0
    blocks: Annotated[str, OneOf(BLOCKS)] = "both"

    def __post_init__(self) -> None:
        check_fields(self, TrunkError, "INDeeD's ")


def learning_rate_at(step: int, settings: PretrainSettings) -> float:
    """Linear warm-up over ``warmup_steps``, then a half cosine to zero at ``steps``."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


State = Literal["wait", "due", "overdue", "tune"]


@dataclass(frozen=True)
class Policy:
    """So many new labels make a training worth its price, and so many more make it overdue.

    Raises:
        TrunkError: the numbers do not follow each other.
    """

    due: int = 5
    overdue: int = 7

    def __post_init__(self) -> None:
        if not 1 <= self.due <= self.overdue:
            raise TrunkError(
                f"trunk.retrain_overdue must be trunk.retrain_due ({self.due}) or more, and that 1 or more, is "
                f"{self.overdue}."
            )


class Advice(NamedTuple):
    """``added``: the labels that the trunk has not learnt from, in alphabetical order; ``state``: what to do about it.

    ``sentence``: the same in words.
    """

    state: State
    added: tuple[str, ...]
    sentence: str


def advise(learnt: Iterable[str], labels: Iterable[str], policy: Policy, *, trained: bool = True) -> Advice:
    """Compare the labels a trunk learnt from with those there are now.

    trained: whether it was trained here; weights that were brought are never to be replaced by random ones, but a
        training may begin from them.

    >>> advise(["bald"], ["bald", "hat"], Policy()).sentence
    '1 label since the last training of the trunk (hat); at 5 to 7 it is worth training again.'
    """
    added = tuple(sorted(set(labels) - set(learnt)))
    count = len(added)
    noun = "label" if count == 1 else "labels"
    named = f" ({', '.join(added)})" if added else ""
    since = f"{count or 'No'} {noun} since the last training of the trunk{named}"
    if not trained:
        been = f"The trunk in use was brought, not trained here; it has not seen {count} of your labels{named}"
        if count < policy.due:
            return Advice("wait", added, f"{been}.")
        return Advice("tune", added, f"{been}: a training on them, begun from its weights, may make it better.")
    if count < policy.due:
        return Advice("wait", added, f"{since}; at {policy.due} to {policy.overdue} it is worth training again.")
    if count < policy.overdue:
        return Advice("due", added, f"{since}: it is worth training again, by {policy.overdue} at the latest.")
    return Advice("overdue", added, f"{since}: train it again, for {policy.overdue} are the most it should wait for.")
