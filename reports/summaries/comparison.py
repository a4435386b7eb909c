"""Compare the winner with its controls: sizes, scores over seeds, gains with their intervals, ROC curves.

Where records hold no scores of single images, an interval follows from the score and the number of test images: of the
area under a ROC curve by method 5 of Newcombe (2006), "Confidence intervals for an effect size measure based on the
Mann-Whitney statistic. Part 2", Statistics in Medicine 25; of a share after Wilson (1927).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from reports.layout.formats import Names, judgement
from reports.summaries.search import Records, by_hand, reward_metric
from reports.summaries.values import items, number, numbers, numbers_of, table, text

NAMES = Names(
    {
        "winner": "searched branch",
        "searched": "searched branch",
        "random": "random search",
        "controller": "controller, short trainings",
        "local": "local search",
        "surrogate": "Gaussian process",
        "nni-random": "NNI's random search",
        "nni-evolution": "NNI's evolution",
        "nni-darts": "NNI's DARTS",
        "linear_probe": "linear probe",
        "joined_probe": "linear probe of all depths",
        "tail": "fine-tuned tail",
    }
)


class Roles(dict[str, str]):
    """Method -> the role that sets its colour and mark; a strategy that the search is compared with is a rival."""

    def __missing__(self, key: str) -> str:
        return "rival"


KIND_NAMES = {
    "random": "best random branch",
    "probe": "linear probe",
    "joined_probe": "linear probe of all depths",
    "tail": "fine-tuned tail",
}
ROLES = Roles(winner="winner", random="random", linear_probe="probe", joined_probe="probe", tail="tail")
NORMAL_95 = 1.959964  # half of a 95 % interval, in standard deviations
Interval = tuple[float, float]


class Method(NamedTuple):
    """One way to answer the attribute. `reduction`: share of the tail's parameters saved.

    `val`, `test`: every metric of the training that is shown. `*_seeds`: the search's own metric for each training of
    the same recipe, that one among them; `*_score`: their mean, or that training's when there are no others.
    """

    key: str
    name: str
    parameters: float | None
    macs: float | None
    reduction: float | None
    val: dict[str, float]
    test: dict[str, float]
    val_seeds: tuple[float, ...]
    test_seeds: tuple[float, ...]
    val_score: float | None
    test_score: float | None
    latency_ms: float | None = None

    def score(self, split: str) -> float | None:
        """The mean score on split "val" or "test"."""
        return self.test_score if split == "test" else self.val_score


class Gain(NamedTuple):
    """Mean test score of the winner minus that of a control, with the ends of its 95 % interval.

    `over`: what the interval is taken over, "images and seeds", test "images" where nothing was trained again, or, in
    earlier records, "seeds" of training.
    """

    key: str
    name: str
    difference: float
    low: float | None
    high: float | None
    over: str

    @property
    def judgement(self) -> str:
        """ "better", "worse", or "not told apart" when the interval holds zero or is not known."""
        return judgement(self.low, self.high)


class Curve(NamedTuple):
    """A curve with the area below it as it was measured; `mark`: where the winner lies at its `threshold`, if known."""

    key: str
    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    area: float | None
    threshold: float | None
    mark: tuple[float, float] | None


class CurveKind(NamedTuple):
    """What a kind of curve is recorded as: its axes, the metrics that mark a point on it, that of its area, points."""

    x: str
    y: str
    mark: tuple[str, str]
    area: str
    fewest: int


CURVE_KINDS = {
    "roc": CurveKind("fpr", "tpr", ("fpr", "recall"), "auroc", 2),
    "precision_recall": CurveKind("recall", "precision", ("recall", "precision"), "average_precision", 1),
}


def methods(records: Records) -> tuple[Method, ...]:
    """The winner and every control there are numbers for, in that order; from the history while there is no result."""
    result = records.result
    tail_parameters, metric = number(result.get("tail_parameters")), reward_metric(records)
    controls, repeats = table(result.get("controls")), table(result.get("repeats"))
    known = []
    for key, name in names_of(records).items():
        source = result if key == "winner" else table(controls.get(key))
        if not source and "controls" not in result:
            source = _from_history(records, key)
        val, test = numbers_of(source.get("val")), numbers_of(source.get("test"))
        parameters, macs = number(source.get("parameters")), number(source.get("macs"))
        if key == "tail":
            parameters = tail_parameters if parameters is None else parameters
            macs = number(result.get("tail_macs")) if macs is None else macs
        if not val and not test:
            continue
        repeat = table(repeats.get(key))
        reduction = 1 - parameters / tail_parameters if parameters is not None and tail_parameters else None
        seeds = numbers(repeat.get(f"val_{metric}")), numbers(repeat.get(f"test_{metric}"))
        means = (_mean(seeds[0], val.get(metric)), _mean(seeds[1], test.get(metric)))
        latency = number(source.get("latency_ms"))
        known.append(Method(key, name, parameters, macs, reduction, val, test, *seeds, *means, latency))
    return tuple(known)


def winner_of(records: Records) -> Method | None:
    """The winner with its costs and scores, None while there is none."""
    return next((method for method in methods(records) if method.key == "winner"), None)


def gain_over_random(records: Records) -> Gain | None:
    """What searching gained over random architectures at equal budget, None where it was not measured."""
    if own := _gain("random", NAMES["random"], table(records.result.get("search_gain")), records):
        return own
    return next((gain for gain in gains(records) if gain.key == "random"), None)


def gains(records: Records) -> tuple[Gain, ...]:
    """What the result gained over each control, in the search's own metric on test."""
    recorded = table(records.result.get("gain"))
    known = (_gain(key, name, table(recorded.get(f"over_{key}")), records) for key, name in names_of(records).items())
    return tuple(gain for gain in known if gain is not None)


def _gain(key: str, name: str, gain: dict[str, object], records: Records) -> Gain | None:
    if (difference := number(gain.get("difference"))) is None:
        return None
    low, high, over = number(gain.get("low")), number(gain.get("high")), text(gain.get("over")) or "seeds"
    images = number(gain.get("images_low")), number(gain.get("images_high"))
    if "over" not in gain and (low == high or (low, high) == images):
        (low, high), over = images, "images"  # a single training says nothing about the spread over trainings
    if few_test_images(records):
        low = high = None  # a resampled handful of images gives an interval that means nothing
    return Gain(key, name, difference, low, high, over)


def few_test_images(records: Records) -> bool:
    """Whether the search found too few test images of a value to tell a gain from luck."""
    return number(table(records.result.get("too_few")).get("images")) is not None


def curves_of(records: Records, split: str, kind: str) -> tuple[Curve, ...]:
    """The winner's curve and the controls', for split "val" or "test"; one per value where the record has those.

    kind: "roc" or "precision_recall"; none where the search recorded none.
    """
    recorded = table(table(records.result.get(kind)).get(split))
    by_name = {"winner": recorded} if CURVE_KINDS[kind].x in recorded else recorded
    sources = {"winner": records.result} | table(records.result.get("controls"))
    return tuple(
        curve
        for key, name in names_of(records).items()
        for curve in _curves(key, name, table(by_name.get(key)), table(table(sources.get(key)).get(split)), kind)
    )


def names_of(records: Records) -> dict[str, str]:
    """The winner and its controls in the order they are shown; one that is not known stands last, by its own key."""
    controls, gained = table(records.result.get("controls")), table(records.result.get("gain"))
    roles = [text(record.get("role")) or "candidate" for record in records.of("retraining")]
    keys = (*NAMES, *controls, *(key.removeprefix("over_") for key in gained), *roles)
    return {key: NAMES[key] for key in keys if key != "candidate"} | {"winner": winner_name(records)}


def winner_name(records: Records) -> str:
    """What the result is called beside its controls."""
    kind = kind_of_result(records.result)
    if by_hand(records):
        return "backbone's own blocks"
    return NAMES["winner"] if kind == "searched" else KIND_NAMES.get(kind) or NAMES[kind]


def kind_of_result(result: Mapping[str, object]) -> str:
    """What kind of thing the result is; before there was a choice it was always what was searched."""
    return text(result.get("kind")) or ("by-hand" if result.get("strategy") == "by-hand" else "searched")


def _mean(seeds: tuple[float, ...], single: float | None) -> float | None:
    return sum(seeds) / len(seeds) if seeds else single


def _curves(key: str, name: str, points: dict[str, object], metrics: dict[str, object], kind: str) -> list[Curve]:
    how = CURVE_KINDS[kind]
    if points and how.x not in points:  # one curve per value
        return [curve for value, entry in points.items() for curve in _curves(key, value, table(entry), {}, kind)]
    x, y = numbers(points.get(how.x)), numbers(points.get(how.y))
    raw = len(items(points.get(how.x))), len(items(points.get(how.y)))
    if len(x) < how.fewest or (len(x), len(y)) != raw or len(x) != len(y):
        return []
    at, height = (number(metrics.get(metric)) for metric in how.mark)
    mark = (at, height) if key == "winner" and at is not None and height is not None else None
    return [Curve(key, name, x, y, number(metrics.get(how.area)), number(metrics.get("threshold")), mark)]


def _from_history(records: Records, key: str) -> dict[str, object]:
    """The latest control of that name, or the best retraining by val score, of a search that is still under way."""
    if done := [record for record in records.of("control") if text(record.get("name")) == key]:
        return done[-1]
    role = "candidate" if key == "winner" else key
    metric, done = (
        reward_metric(records),
        [training for training in records.of("retraining") if text(training.get("role")) == role],
    )
    return max(done, key=lambda record: numbers_of(record.get("val")).get(metric, -1.0), default={})


def auroc_error(auroc: float, positives: int, negatives: int) -> float:
    """The standard error of an area under the ROC curve, for exponentially distributed scores.

    Hanley and McNeil (1982), "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
    Radiology 143, with the mean of both numbers of images less one in place of each of them, as Newcombe's methods 4
    and 5 have it: so it does not depend on which value is called positive.
    """
    pairs = (positives + negatives) / 2 - 1
    both = (1 - auroc) / (2 - auroc) + auroc / (1 + auroc)
    return math.sqrt(auroc * (1 - auroc) * (1 + pairs * both) / (positives * negatives))


def auroc_interval(auroc: float, positives: int, negatives: int) -> Interval | None:
    """The 95 % interval of an area under the ROC curve; None without images of both values.

    Its ends are the areas from which the one measured lies 1.96 of their own standard errors away: within 0 and 1, and
    of some width at 0 and 1 too.
    """
    if not 0 <= auroc <= 1 or positives < 1 or negatives < 1:
        return None
    return _end(auroc, 0.0, positives, negatives), _end(auroc, 1.0, positives, negatives)


def _end(auroc: float, furthest: float, positives: int, negatives: int) -> float:
    """The area between `auroc` and `furthest` whose error is as large as asked, by bisection."""
    near, far = auroc, furthest
    for _ in range(60):
        middle = (near + far) / 2
        if abs(middle - auroc) < NORMAL_95 * auroc_error(middle, positives, negatives):
            near = middle
        else:
            far = middle
    return (near + far) / 2


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
