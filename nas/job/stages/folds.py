"""Cross-validation over train and val together, for choosing where val has too few images of a value to choose by.

Every image is scored once, by a training that has not seen it; the scores of all folds are one table. After A Study of
Cross-Validation and Bootstrap for Accuracy Estimation and Model Selection (Kohavi, 1995), folds are stratified.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from branches.measures.metrics import REWARDS
from branches.probe import Probe, linear_probe
from foundation.provenance import seed_of
from nas.job.choosing.racing import Run
from nas.job.stages.learning_curve import some_of
from nas.job.trainings import Trained, Trainings
from nas.settings import JobData, JobSettings
from trunk.features.context import FeaturesWithContext
from trunk.features.source import FeatureSource, LabelledFeatures

FOLDS = 5


class Fold(NamedTuple):
    """Images to train on, images to score, and where those lie in the union."""

    train: LabelledFeatures
    val: LabelledFeatures
    rows: np.ndarray[tuple[int], np.dtype[np.int64]]


class Joined:
    """The rows of several sources, one after the other."""

    def __init__(self, sources: Sequence[FeatureSource]) -> None:
        self.sources = list(sources)
        self.shape = sources[0].shape
        self.trunk_shape = getattr(sources[0], "trunk_shape", self.shape)
        self.codec = getattr(sources[0], "codec", None)

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    def gather(self, indices: Tensor) -> Tensor:
        gathered = torch.empty(len(indices), *self.shape)
        first = 0
        for source in self.sources:
            own = (indices >= first) & (indices < first + len(source))
            if bool(own.any()):
                gathered[own] = source.gather(indices[own] - first)
            first += len(source)
        return gathered


def joined(sources: Sequence[FeatureSource]) -> FeatureSource:
    """The rows of sources of one kind, one after the other; of one view each."""
    contexts = [source for source in sources if isinstance(source, FeaturesWithContext)]
    if len(contexts) < len(sources):
        return Joined(sources)
    maps = Joined([source.maps for source in contexts])
    return FeaturesWithContext(maps, torch.cat([source.averages for source in contexts]))


def rarest_val(data: JobData) -> int:
    """How many images val has of the value it has fewest of."""
    return int(torch.bincount(data.val.labels, minlength=data.val.values).min())


def union(data: JobData) -> LabelledFeatures:
    """Train and val as one split."""
    features = joined([data.train.features, data.val.features])
    return LabelledFeatures(features, torch.cat([data.train.labels, data.val.labels]), data.train.values)


def folds_of(data: JobData, *, seed: int) -> list[Fold]:
    """Folds with every value in its share; fewer than `FOLDS` where a value has fewer images."""
    whole, rng = union(data), np.random.default_rng(seed)
    labels = whole.labels.numpy()
    count = max(2, min(FOLDS, int(np.bincount(labels, minlength=whole.values).min())))
    fold = np.empty(len(labels), dtype=np.int64)
    for value in range(whole.values):
        own = rng.permutation(np.flatnonzero(labels == value))
        fold[own] = np.arange(len(own)) % count
    folds = []
    for number in range(count):
        rows = np.flatnonzero(fold == number)
        folds.append(Fold(some_of(whole, np.flatnonzero(fold != number)), some_of(whole, rows), rows))
    return folds


class CrossValidation:
    """What a job chooses by in val's place: a score and probabilities (N, V) over train and val, `labels` (N,)."""

    def __init__(self, data: JobData, settings: JobSettings, trainings: Trainings) -> None:
        self.metric, self.trainings = settings.search.reward, trainings
        self.labels = torch.cat([data.train.labels, data.val.labels]).numpy()
        self.values = data.train.values
        self.folds = folds_of(data, seed=seed_of(trainings.seed, "folds"))
        self.probes: dict[int, Probe] = {}

    def probe(self, number: int) -> Probe | None:
        """What branches of a fold begin at, fitted once."""
        if self.trainings.begin_at is None:
            return None
        if number not in self.probes:
            fold = self.folds[number]
            self.probes[number] = linear_probe(fold.train, fold.val, metric=self.metric)
        return self.probes[number]

    def run(self, name: str, train: Callable[[Trainings, str], Trained]) -> Run:
        """Train on every fold's rest; ``train``: does one training under a name."""
        table = np.empty((len(self.labels), self.values))
        for number, fold in enumerate(self.folds):
            own = self.trainings.on(fold.train, fold.val, self.probe(number))
            table[fold.rows] = train(own, f"{name}-fold{number}").val_scores
            self.trainings.finished = own.finished
        return Run(float(REWARDS[self.metric](table, self.labels)), table)


def cross_validation(data: JobData, settings: JobSettings, trainings: Trainings) -> CrossValidation | None:
    """None where val has `least_val` images of each value, and chooses."""
    return CrossValidation(data, settings, trainings) if rarest_val(data) < settings.least_val else None
