"""Train label classifiers on pooled features of a frozen trunk, all labels jointly, unknown ones masked.

IML-GCN: Improved Multi-Label Graph Convolutional Network for Efficient yet Precise Image Classification (Singh et al.),
with the convolutional part frozen: a training takes seconds, so that a tuner may run hundreds. End to end training is
`label_graph.end_to_end`.
"""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from foundation.bounds import recorded
from label_graph.building import LabelledPool, build_classifier
from label_graph.classifier import LabelClassifier
from label_graph.cooccurrence import PairCounts
from label_graph.errors import LabelGraphError
from label_graph.losses import Loss, loss_named, positive_rates
from label_graph.metrics import mean_average_precision
from label_graph.settings import GraphSettings
from subdatasets.labels.table import PRESENT
from trunk.checkpoints import (
    decay_groups,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    restoring,
    save_checkpoint,
)

SAVE_EVERY = 5.0  # seconds; an epoch on pooled features takes some hundredths of one
CHECKPOINT = "checkpoint.safetensors"
BEST = "best."


class TrainingState:
    """The epochs done of a training; `advance` takes the next one in and decides what is kept.

    folder: of the checkpoint; None for a training that is not continued. about: plain values that a checkpoint must
        agree on beside the settings.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        settings: GraphSettings,
        folder: Path | None,
        *,
        about: Sequence[Any] = (),
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.settings = settings
        self.identity = [*recorded(settings).values(), *about]
        self.file = folder / CHECKPOINT if folder else None
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self.best_score = -math.inf
        self.best_epoch = 0
        self.before = 0.0  # seconds of earlier calls
        self.began = self.saved = time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the best is too long ago."""
        settings = self.settings
        tired = settings.patience and self.epoch - self.best_epoch >= settings.patience
        return self.epoch >= settings.epochs or bool(tired)

    def advance(self, *, loss: float, score: float) -> None:
        """Take in the record of one more epoch; the first of the best scores is kept."""
        self.epoch += 1
        self.history.append({"epoch": self.epoch, "loss": loss, "val_score": score})
        if score > self.best_score:
            self.best_score, self.best_epoch = score, self.epoch
            self.best = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
        if self.file and (self.finished or time.monotonic() - self.saved >= SAVE_EVERY):
            self.save()

    def restore_best(self) -> None:
        """Give the module the weights of its best epoch."""
        self.module.load_state_dict(self.best)

    def seconds(self) -> float:
        """Of this call and of those that it continued."""
        return self.before + time.monotonic() - self.began

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        assert self.file is not None
        self.saved = time.monotonic()
        record = {
            "settings": self.identity,
            "history": self.history,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds(),
        }
        best = {f"{BEST}{name}": value for name, value in self.best.items()}
        save_checkpoint(self.file, {**self.module.state_dict(), **best, **optimizer_tensors(self.optimizer)}, record)

    def resume(self) -> bool:
        """Continue from the checkpoint when there is one.

        Raises:
            LabelGraphError: it is of a training with other settings.
        """
        if self.file is None or not self.file.exists():
            return False
        tensors, record = load_checkpoint(self.file)
        with restoring(self.file):
            theirs = record["settings"]
        if theirs != self.identity:
            raise LabelGraphError(
                f"{self.file} is of a training with other settings or data; restore them, or delete the file to start "
                f"anew."
            )
        names = set(self.module.state_dict())
        with restoring(self.file):
            self.module.load_state_dict({name: value for name, value in tensors.items() if name in names})
            self.best = {name: tensors[f"{BEST}{name}"] for name in names}
            restore_optimizer(self.optimizer, tensors)
            self.history, self.epoch = list(record["history"]), len(record["history"])
            self.best_score, self.best_epoch = record["best_score"], record["best_epoch"]
            self.before = record["seconds"]
        return True


Report = Callable[[int, float], None]


class TrainedGraph(NamedTuple):
    """The classifiers of the epoch that val found best, in evaluation mode on the CPU.

    val_score: mean average precision on val. epoch: which one was kept, from 1. history: a record per epoch.
    """

    module: LabelClassifier
    val_score: float
    epoch: int
    history: list[dict[str, float]]
    seconds: float


def train_label_graph(
    train: LabelledPool,
    val: LabelledPool,
    settings: GraphSettings,
    *,
    labels: Sequence[str],
    counts: PairCounts | None = None,
    words: Path | None = None,
    device: torch.device | str = "cpu",
    folder: Path | None = None,
    report: Report | None = None,
) -> TrainedGraph:
    """Build the classifiers that ``settings`` describe, train them, keep the best epoch on val.

    The same settings, data and device give the same classifiers, resumed or not.

    Args:
        labels: their names, (L,).
        counts: of label pairs, where they are estimated; by default those of ``train``.
        words: a file of word vectors, for word nodes.
        folder: where a checkpoint is kept while training lasts, and continued from; None for none.
        report: hears (epoch, val score) after each epoch, from 1; an exception of its (a tuner prunes) ends it all.

    Raises:
        LabelGraphError: a setting cannot be used, there is no training image, or val shows no label.
    """
    module = build_classifier(train, settings, labels=labels, counts=counts, words=words).to(device)
    x = train.features.by(settings.pooling).to(device)
    y = torch.from_numpy(train.states).to(device)
    x_val, y_val = val.features.by(settings.pooling), torch.from_numpy(val.states)
    if not bool((y_val == PRESENT).any()):
        raise LabelGraphError("The label graph needs val images that show some label, to choose an epoch by; add some.")
    loss = loss_by(settings, y)
    optimizer = optimizer_of(module, settings)
    state = TrainingState(module, optimizer, settings, folder)
    state.resume()
    steps = math.ceil(len(x) / settings.batch_size)
    while not state.finished:
        epoch = state.epoch + 1
        order = torch.from_numpy(np.random.default_rng([settings.seed, epoch]).permutation(len(x)))
        module.train()
        total = torch.zeros((), device=device)
        for step, rows in enumerate(torch.split(order, settings.batch_size)):
            done = (epoch - 1 + step / steps) / settings.epochs
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
            value = loss(module(x[rows]), y[rows])
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += value.detach() * len(rows)
        scores = predict_probabilities(module, x_val)
        mean_loss = float(total) / len(x)
        if not math.isfinite(mean_loss) or not bool(scores.isfinite().all()):
            raise LabelGraphError(
                f"The training of the label graph diverged in epoch {epoch}; lower label_graph.learning_rate, now "
                f"{settings.learning_rate}."
            )
        score = mean_average_precision(scores, y_val)
        state.advance(loss=mean_loss, score=score)
        if report:
            report(epoch, score)
    state.restore_best()
    return TrainedGraph(module.cpu().eval(), state.best_score, state.best_epoch, state.history, state.seconds())


def loss_by(settings: GraphSettings, states: Tensor) -> Loss:
    """The loss that ``settings`` name, with its own settings.

    Args:
        states: (N, L), of the training images, whose share of positives the weighted loss takes, on the device of the
            logits.
    """
    if settings.loss == "asymmetric":
        gammas = {"gamma_negative": settings.gamma_negative, "gamma_positive": settings.gamma_positive}
        return loss_named("asymmetric", **gammas, clip=settings.clip)
    if settings.loss == "focal":
        return loss_named("focal", gamma=settings.gamma_negative)
    if settings.loss == "weighted":
        return loss_named("weighted", rates=positive_rates(states))
    return loss_named(settings.loss)


def optimizer_of(module: LabelClassifier, settings: GraphSettings) -> torch.optim.AdamW:
    """AdamW whose weight decay spares biases."""
    return torch.optim.AdamW(decay_groups(module, settings.weight_decay), lr=settings.learning_rate)


@torch.no_grad()
def predict_probabilities(module: torch.nn.Module, features: Tensor) -> Tensor:
    """Probabilities float64 (N, L) of features, on the CPU; the module is left in evaluation mode."""
    module.eval()
    device = next(module.parameters()).device
    probabilities: Tensor = module(features.to(device)).cpu().double().sigmoid()
    return probabilities
