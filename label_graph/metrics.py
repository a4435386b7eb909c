"""Measures of scores over many labels: mAP, CP, CR, CF1, OP, OR, OF1 and their top-k forms, unknown labels left out.

The columns of IML-GCN's Table 1, defined as in ML-GCN (Chen et al. 2019, arXiv:1904.03582): CF1 is the harmonic mean
of CP and CR, and the top-k forms count a label as predicted where it is among the k highest scores of its image and
reaches the threshold. (IML-GCN's own CF1 is not the harmonic mean of its CP and CR; `macro_f1`, the mean of the labels'
F1, is given beside it.) Means over labels run over those that have a known positive.

What work on pedestrian attributes reports is here too, mA over labels and accuracy, precision, recall and F1 over
images: A Richly Annotated Dataset for Pedestrian Attribute Recognition (Li et al. 2016), arXiv:1603.07054, section 5.1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from branches.measures.metrics import ranked_precision
from label_graph.errors import LabelGraphError
from subdatasets.labels.table import ABSENT, PRESENT, UNKNOWN


@dataclass(frozen=True)
class LabelMetrics:
    """Shares of 0 to 1; nan where nothing can be measured.

    cp, cr: precision and recall, the mean over labels (a label that is never predicted has precision 0); cf1: their
    harmonic mean; macro_f1: the mean of the labels' F1. op, or_, of1: the same over all entries at once.
    measured: how many labels have a known positive.
    """

    cp: float
    cr: float
    cf1: float
    op: float
    or_: float
    of1: float
    macro_f1: float
    measured: int


def average_precisions(probabilities: Tensor, states: Tensor) -> Tensor:
    """(L,) float: each label's average precision over the images where it is known; nan without a known positive.

    Args:
        probabilities: (N, L) in [0, 1].
        states: (N, L), 1, 0 or -1.

    Raises:
        LabelGraphError: shapes that differ, or scores that are no probabilities.
    """
    check_scores(probabilities, states)
    result = torch.full((states.shape[1],), float("nan"))
    scores, truth = probabilities.float().cpu().double().numpy(), states.cpu().numpy()
    for label in range(states.shape[1]):
        known = truth[:, label] != UNKNOWN
        shown = truth[known, label] == PRESENT
        if shown.any():
            result[label] = ranked_precision(scores[known, label], shown)
    return result


def mean_average_precision(probabilities: Tensor, states: Tensor) -> float:
    """mAP: the mean of :func:`average_precisions` over the labels that have one; nan if none has."""
    return _mean(average_precisions(probabilities, states))


def label_metrics(
    probabilities: Tensor, states: Tensor, *, thresholds: float | Tensor = 0.5, top: int | None = None
) -> LabelMetrics:
    """CP, CR, CF1, OP, OR, OF1.

    Args:
        probabilities: (N, L) in [0, 1].
        states: (N, L), 1, 0 or -1; an unknown entry counts nowhere.
        thresholds: a label is predicted where its probability is at least this; one, or (L,).
        top: at most so many labels are predicted for an image, the highest first; None: no limit.

    Raises:
        LabelGraphError: shapes that differ, scores that are no probabilities, or a top below 1.
    """
    predicted = predictions(probabilities, states, thresholds=thresholds, top=top)
    true, false, _, missed = label_counts(predicted, states)
    measured = true + missed > 0
    precision = true / (true + false).clamp(min=1)
    recall = true / (true + missed).clamp(min=1)
    f1 = 2 * true / (2 * true + false + missed).clamp(min=1)
    cp, cr = _mean(precision[measured]), _mean(recall[measured])
    hits, wrong, lost = (float(part.sum()) for part in (true, false, missed))
    op, or_ = _share(hits, hits + wrong), _share(hits, hits + lost)
    return LabelMetrics(
        cp=cp,
        cr=cr,
        cf1=harmonic(cp, cr),
        op=op,
        or_=or_,
        of1=harmonic(op, or_),
        macro_f1=_mean(f1[measured]),
        measured=int(measured.sum()),
    )


def predictions(
    probabilities: Tensor, states: Tensor, *, thresholds: float | Tensor = 0.5, top: int | None = None
) -> Tensor:
    """Bool (N, L): where a label is predicted; arguments as :func:`label_metrics` takes them."""
    check_scores(probabilities, states)
    predicted = probabilities >= torch.as_tensor(thresholds, dtype=probabilities.dtype, device=probabilities.device)
    if top is None:
        return predicted
    if top < 1:
        raise LabelGraphError(f"top is {top}: predict at least one label per image")
    order = probabilities.argsort(dim=1, descending=True, stable=True)[:, :top]  # ties: the label that comes first
    return predicted & torch.zeros_like(predicted).scatter_(1, order, True)


def label_counts(predicted: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """True positives, false positives, true negatives, false negatives of each label, each float64 (L,)."""
    shown, absent = states == PRESENT, states == ABSENT
    true, false = (predicted & shown).sum(dim=0), (predicted & absent).sum(dim=0)
    rejected, missed = (~predicted & absent).sum(dim=0), (~predicted & shown).sum(dim=0)
    return true.double(), false.double(), rejected.double(), missed.double()


def check_scores(probabilities: Tensor, states: Tensor) -> None:
    """Refuse scores that cannot be measured.

    Raises:
        LabelGraphError: not two equal shapes (N, L), or scores outside [0, 1].
    """
    if states.ndim != 2 or probabilities.shape != states.shape:
        raise LabelGraphError(
            f"probabilities {tuple(probabilities.shape)} and label states {tuple(states.shape)} must have one shape, "
            "images by labels"
        )
    if not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
        raise LabelGraphError("scores must be probabilities between 0 and 1: apply the sigmoid to logits first")


def harmonic(precision: float, recall: float) -> float:
    """The harmonic mean; 0 where both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall != 0 else 0.0


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _mean(values: Tensor) -> float:
    return float(values.nanmean()) if values.numel() else float("nan")


@dataclass(frozen=True)
class AttributeMetrics:
    """Shares of 0 to 1; nan where nothing can be measured.

    mean_accuracy: mA, the mean over labels of (recall of the positives + recall of the negatives) / 2, over labels of
    which both are known. accuracy, precision, recall: means over the images with a known positive, of
    |shown and predicted| over |shown or predicted|, |predicted| (0 where nothing is) and |shown|; f1: the harmonic mean
    of precision and recall. images: how many images have a known positive.
    """

    mean_accuracy: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    images: int


def attribute_metrics(
    probabilities: Tensor, states: Tensor, *, thresholds: float | Tensor = 0.5, top: int | None = None
) -> AttributeMetrics:
    """mA and the measures over images; arguments and errors as of :func:`label_graph.metrics.label_metrics`."""
    predicted = predictions(probabilities, states, thresholds=thresholds, top=top)
    true, false, rejected, missed = label_counts(predicted, states)
    both = (true + missed > 0) & (false + rejected > 0)
    balanced = (true / (true + missed) + rejected / (rejected + false)) / 2
    shown = states == PRESENT
    guessed = predicted & (states != UNKNOWN)
    rows = shown.any(dim=1)
    shown, guessed = shown[rows], guessed[rows]
    common = (shown & guessed).sum(dim=1).double()
    accuracy = _mean(common / (shown | guessed).sum(dim=1))
    precision = _mean(common / guessed.sum(dim=1).clamp(min=1))
    recall = _mean(common / shown.sum(dim=1))
    return AttributeMetrics(
        mean_accuracy=_mean(balanced[both]),
        accuracy=accuracy,
        precision=precision,
        recall=recall,
        f1=harmonic(precision, recall),
        images=int(rows.sum()),
    )
