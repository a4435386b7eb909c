"""What work on pedestrian attributes reports: mA over labels, and accuracy, precision, recall and F1 over images.

A Richly Annotated Dataset for Pedestrian Attribute Recognition (Li et al. 2016), arXiv:1603.07054, section 5.1. Unknown
labels count nowhere.
"""

from dataclasses import dataclass

from torch import Tensor

from label_graph.metrics import harmonic, label_counts, predictions
from subdatasets.multilabel import PRESENT, UNKNOWN


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


def _mean(values: Tensor) -> float:
    return float(values.mean()) if values.numel() else float("nan")
