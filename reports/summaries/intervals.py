"""How far a measured score may be from the true one, from the score and the number of test images alone.

For records that hold no scores of single images. The area under a ROC curve after Hanley and McNeil (1982), "The
meaning and use of the area under a receiver operating characteristic (ROC) curve", Radiology 143, on the logit scale,
so that the interval stays within 0 and 1; a share after Wilson (1927).
"""

import math
from collections.abc import Mapping

NORMAL_95 = 1.959964  # half of a 95 % interval, in standard deviations
Interval = tuple[float, float]


def auroc_error(auroc: float, positives: int, negatives: int) -> float:
    """The standard error of an area under the ROC curve, for exponentially distributed scores (Hanley and McNeil)."""
    both_positive = auroc / (2 - auroc)
    both_negative = 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc)
    variance += (positives - 1) * (both_positive - auroc**2) + (negatives - 1) * (both_negative - auroc**2)
    return math.sqrt(max(variance, 0.0) / (positives * negatives))


def auroc_interval(auroc: float, positives: int, negatives: int) -> Interval | None:
    """The 95 % interval of an area under the ROC curve; None without images of both values, or at 0 and 1."""
    if not 0 < auroc < 1 or positives < 1 or negatives < 1:
        return None
    width = NORMAL_95 * auroc_error(auroc, positives, negatives) / (auroc * (1 - auroc))
    middle = math.log(auroc / (1 - auroc))
    return _logistic(middle - width), _logistic(middle + width)


def share_interval(share: float, images: int) -> Interval | None:
    """The 95 % interval of a share of so many images; None without images."""
    if not 0 <= share <= 1 or images < 1:
        return None
    square = NORMAL_95**2
    middle = (share + square / (2 * images)) / (1 + square / images)
    half = NORMAL_95 * math.sqrt(share * (1 - share) / images + square / (4 * images**2)) / (1 + square / images)
    return max(0.0, middle - half), min(1.0, middle + half)


def score_interval(metric: str, score: float, counts: Mapping[str, int]) -> Interval | None:
    """The interval of a metric on images counted by value, the positive one last; None where there is no formula."""
    images = list(counts.values())
    if metric == "accuracy":
        return share_interval(score, sum(images))
    if len(images) != 2:
        return None
    negatives, positives = images
    if metric == "auroc":
        return auroc_interval(score, positives, negatives)
    of = {"recall": positives, "fpr": negatives}
    return share_interval(score, of[metric]) if metric in of else None


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
