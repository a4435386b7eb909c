"""The learning curve: what the probe and the winner reach on a half, a quarter and an eighth of the training images.

It says what more labels would bring. The error falls as a power of the number of images (Deep Learning Scaling is
Predictable, Empirically; Hestness et al., 2017, arXiv:1712.00409), fitted in logarithms by least squares and read off
at twice as many. Scores are those on test, by which nothing is chosen, or on val where there is no test split. A part
of the images is trained on for up to twice the epochs, so that it is not held back by its few steps alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from branches.measures.metrics import REWARDS, Scores, title_of
from branches.probe import linear_probe
from branches.training import predict_scores
from foundation.provenance import seed_of
from nas.job.gains import paired_error
from nas.job.results import Contestant
from nas.job.trainings import Trained, Trainings
from nas.settings import JobData, JobSettings
from subdatasets.reading.rows import FEW
from trunk.features.cached import CachedFeatures
from trunk.features.context import FeaturesWithContext
from trunk.features.source import FeatureSource, LabelledFeatures

PARTS = (8, 4, 2)  # so many times fewer images
LONGER = 2  # times the epochs at most, of a part
CONFIDENCE = 1.96  # standard errors of a 95 % interval
LEAST_ERROR = 1e-4  # of a score of 1, whose logarithm there is none


class Curve(NamedTuple):
    """One kind's scores, in the order of the images, the fewest first, and its probabilities on the last two."""

    key: str
    scores: list[float]
    tables: list[Scores]


@dataclass(frozen=True)
class Part:
    """A part of the training images: how many times fewer, and its rows."""

    fewer: int
    train: LabelledFeatures


class SomeRows:
    """Some rows of features, in an order of their own."""

    def __init__(self, features: FeatureSource, rows: Tensor) -> None:
        self.features, self.rows = features, rows
        self.shape = features.shape

    def __len__(self) -> int:
        return len(self.rows)

    def __getattr__(self, name: str) -> Any:
        """What else a kind of features tells, such as its codec."""
        if name in ("features", "rows", "shape"):
            raise AttributeError(name)
        return getattr(self.features, name)

    def gather(self, indices: Tensor) -> Tensor:
        return self.features.gather(self.rows[indices])


def parts_of(train: LabelledFeatures, *, seed: int) -> list[Part]:
    """The parts that hold `FEW` images of each value at least, each within the next, every value in its share."""
    rng = np.random.default_rng(seed)
    labels = train.labels.numpy()
    orders = [rng.permutation(np.flatnonzero(labels == value)) for value in range(train.values)]
    parts = []
    for fewer in PARTS:
        counts = [len(order) // fewer for order in orders]
        if min(counts) >= FEW:
            rows = np.sort(np.concatenate([order[:count] for order, count in zip(orders, counts, strict=True)]))
            parts.append(Part(fewer, some_of(train, rows)))
    return parts


def some_of(train: LabelledFeatures, rows: np.ndarray[Any, np.dtype[np.int64]]) -> LabelledFeatures:
    """These rows of a split."""
    return LabelledFeatures(rows_of(train.features, rows), train.labels[torch.from_numpy(rows)], train.values)


def rows_of(features: FeatureSource, rows: np.ndarray[Any, np.dtype[np.int64]]) -> FeatureSource:
    """These rows of features."""
    if isinstance(features, FeaturesWithContext):
        index, views = torch.from_numpy(rows), features.views
        averages = None if views is None else views[:, index]
        return FeaturesWithContext(rows_of(features.maps, rows), features.averages[index], averages)
    if isinstance(features, CachedFeatures):
        views_of = features.views
        return features.reading(features.rows[rows], None if views_of is None else views_of[:, rows])
    return SomeRows(features, torch.from_numpy(rows))


def train_parts(
    data: JobData, settings: JobSettings, contestants: Mapping[str, Contestant], trainings: Trainings
) -> dict[int, dict[str, Trained]]:
    """How many times fewer images -> kind -> its training on them; kinds are "probe" and "winner", what can be trained.

    The winner's stands for a branch; a tail is not trained again, which would cost more than all else.
    """
    winner = contestants["winner"]
    trained: dict[int, dict[str, Trained]] = {}
    for part in parts_of(data.train, seed=seed_of(trainings.seed, "learning curve")):
        begin_at = linear_probe(part.train, data.val, metric=settings.search.reward) if trainings.begin_at else None
        on_part = trainings.on(part.train, data.val, begin_at)
        images = {"images": len(part.train)}
        found = {}
        if "linear_probe" in {contestant.key for contestant in contestants.values()}:
            name = f"curve-{part.fewer}-probe"
            found["probe"] = on_part.probe(settings.search.reward, kind="curve", name=name, bounded=images)
        if winner.searchable and winner.architecture is not None:
            epochs = settings.retrain.epochs * min(LONGER, part.fewer)
            found["winner"] = on_part.branch(
                "curve",
                f"curve-{part.fewer}-winner",
                winner.architecture,
                replace(settings.retrain, epochs=epochs),
                bounded={**images, "epochs": epochs},
            )
        trainings.finished = on_part.finished
        if found:
            trained[part.fewer] = found
    return trained


def learning_curve(
    data: JobData,
    settings: JobSettings,
    contestants: Mapping[str, Contestant],
    trained: Mapping[int, Mapping[str, Trained]],
    *,
    device: torch.device,
) -> dict[str, Any] | None:
    """The record ``learning_curve`` of ``result.json``; None where there are too few images for any part."""
    if not trained:
        return None
    metric = settings.search.reward
    split, name = (data.val, "val") if data.test is None else (data.test, "test")
    labels = split.labels.numpy()
    whole = {"winner": contestants["winner"]}
    whole |= {"probe" if each.key == "linear_probe" else each.key: each for each in contestants.values()}
    ours = "winner" if "winner" in next(iter(trained.values())) else "probe"
    record: dict[str, Any] = {
        "split": name,
        "metric": metric,
        "images": [sum(len(order) // fewer for order in counts(data)) for fewer in trained] + [len(data.train)],
    }
    tables: dict[str, list[Scores]] = {}
    for kind in ("winner", "probe"):
        if kind not in next(iter(trained.values())):
            continue
        modules = [[trained[fewer][kind]] for fewer in trained] + [list(whole[kind].trainings)]
        tables[kind] = [predict_scores(group[0].module, split.features, device=device) for group in modules]
        scores = [REWARDS[metric](table, labels) for table in tables[kind]]
        others = [predict_scores(again.module, split.features, device=device) for again in modules[-1][1:]]
        scores[-1] = float(np.mean([scores[-1], *(REWARDS[metric](table, labels) for table in others)]))
        record[kind] = scores
    scores = record[ours]
    rise = scores[-1] - scores[-2]
    error = paired_error(tables[ours][-1], tables[ours][-2], labels, metric, seed=0)
    record |= {
        "of": ours,
        "rise": rise,
        "rise_low": rise - CONFIDENCE * error,
        "rise_high": rise + CONFIDENCE * error,
        "twice": at_twice(record["images"], scores),
    }
    return record | {"sentence": in_words(record)}


def counts(data: JobData) -> list[range]:
    """As long as there are training images, value by value."""
    return [range(int((data.train.labels == value).sum())) for value in range(data.train.values)]


def at_twice(images: Sequence[int], scores: Sequence[float]) -> float:
    """The score that the power law reads off at twice the images; never less than there is."""
    errors = np.maximum(1 - np.asarray(scores), LEAST_ERROR)
    slope, start = np.polyfit(np.log(images), np.log(errors), 1)
    if slope >= 0:
        return scores[-1]
    return max(scores[-1], float(1 - np.exp(start + slope * np.log(2 * images[-1]))))


def in_words(record: Mapping[str, Any]) -> str:
    """What more labels would bring, in a clause."""
    scores, title = record[record["of"]], title_of(record["metric"])
    gain = record["twice"] - scores[-1]
    before = len(scores) > 1 and record["images"][-1] / record["images"][-2]
    rise = f"{record['rise']:+.4f} [{record['rise_low']:+.4f}, {record['rise_high']:+.4f}]"
    whose = " of the linear probe" if record["of"] == "probe" else ""
    grown = f"with {before:.0f} times as many training images {record['split']} {title}{whose} changed by {rise}"
    if record["rise_low"] <= 0 <= record["rise_high"]:
        return f"{grown}, which its images do not tell from nothing: more training labels would bring little"
    return f"{grown}; twice as many as now would bring about {gain:+.4f}"
