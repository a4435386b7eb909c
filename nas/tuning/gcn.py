"""Trials of `graftnet tune gcn`: train the label graph on pooled features, for mean average precision."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from foundation.provenance import seed_of
from label_graph.building import LabelledPool
from label_graph.cooccurrence import LabelGraphWarning, PairCounts
from label_graph.errors import LabelGraphError
from label_graph.metrics import mean_average_precision
from label_graph.settings import GraphSettings
from label_graph.training import predict_probabilities, train_label_graph
from nas.tuning.knobs import Knob, Setting, nearest
from nas.tuning.study import Outcome, PrunedError, Watch
from subdatasets.labels.table import States

ROUNDS = 100  # of the bootstrap
METRIC = "mAP"


def gcn_knobs(labels: int, *, words: bool) -> tuple[Knob, ...]:
    """The knobs of a label graph over so many labels; words: whether there is a file of word vectors.

    What belongs to one kind of nodes, or to one loss, is asked for there alone.
    """
    most = max(labels - 1, 2)  # L nodes have L - 1 principal components that say something
    nodes = ("image", "image_pca", "identity", *(("words",) if words else ()))
    return (
        Knob("tau", low=0.01, high=0.9),
        Knob("p", low=0.0, high=0.9),
        Knob("layers", low=1, high=3),
        Knob("hidden", (64, 128, 256, 512), only=("layers", (2, 3))),
        Knob("nodes", nodes),
        Knob("components", low=1, high=most, only=("nodes", ("image_pca",))),
        Knob("loss", ("asymmetric", "focal", "bce", "weighted")),
        Knob("gamma_negative", low=0.0, high=6.0, only=("loss", ("asymmetric", "focal"))),
        Knob("gamma_positive", low=0.0, high=2.0, only=("loss", ("asymmetric",))),
        Knob("clip", low=0.0, high=0.2, only=("loss", ("asymmetric",))),
        Knob("learning_rate", low=1e-4, high=2e-2, log=True),
    )


@dataclass(frozen=True)
class GcnObjective:
    """Trials on a label table's pooled features; `base` are the project's settings, which the first trial tries.

    counts: of label pairs, where they are estimated. words: a file of word vectors, where there is one.
    """

    train: LabelledPool
    val: LabelledPool
    labels: tuple[str, ...]
    base: GraphSettings
    seed: int
    device: torch.device
    counts: PairCounts | None = None
    words: Path | None = None
    second: str | None = field(default=None, init=False)

    @property
    def knobs(self) -> Sequence[Knob]:
        return gcn_knobs(len(self.labels), words=self.words is not None)

    @property
    def first(self) -> Setting:
        wanted = asdict(self.base)
        wanted["components"] = wanted["components"] or len(self.labels)  # 0 stands for all of them
        return nearest(self.knobs, {knob.name: wanted[knob.name] for knob in self.knobs})

    def __call__(self, setting: Setting, *, seed: int, watch: Watch) -> Outcome:
        chosen: dict[str, Any] = {**setting, "seed": seed_of(seed, "training") % 2**32, "graph": "cooccurrence"}
        settings = replace(self.base, **chosen)
        best: list[float] = []
        details: dict[str, Any] = {"best": best}

        def after_epoch(epoch: int, score: float) -> None:
            best.append(max([score, *best[-1:]]))
            if epoch < settings.epochs and (reason := watch(epoch, best[-1], None)):
                raise PrunedError(reason, details)

        try:
            with warnings.catch_warnings():
                # A trial may well try a threshold that leaves labels alone.
                warnings.simplefilter("ignore", LabelGraphWarning)
                trained = train_label_graph(
                    self.train,
                    self.val,
                    settings,
                    labels=self.labels,
                    counts=self.counts,
                    words=self.words,
                    device=self.device,
                    report=after_epoch,
                )
        except LabelGraphError as error:
            if not best:
                raise  # not this setting's fault
            raise PrunedError(str(error), details) from error
        details["epoch"] = trained.epoch
        best += best[-1:] * (settings.epochs - len(best))  # patience ended it
        probabilities = predict_probabilities(trained.module, self.val.features.by(settings.pooling))
        details["standard_error"] = standard_error(
            probabilities, self.val.states, seed=seed_of(self.seed, "bootstrap") % 2**32
        )
        return Outcome(trained.val_score, None, details)


def standard_error(probabilities: torch.Tensor, states: States, *, seed: int) -> float:
    """The standard error of the mean average precision (N, L) over images, by bootstrap."""
    generator = torch.Generator().manual_seed(seed)
    given, precisions = torch.from_numpy(states), []
    for _ in range(ROUNDS):
        rows = torch.randint(len(given), (len(given),), generator=generator)
        precisions.append(mean_average_precision(probabilities[rows], given[rows]))
    values = torch.tensor(precisions, dtype=torch.float64)
    return float(values[values.isfinite()].std()) if bool(values.isfinite().sum() > 1) else 0.0
