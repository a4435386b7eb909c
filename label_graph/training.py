"""Train label classifiers on pooled features of a frozen trunk, all labels jointly, unknown ones masked.

IML-GCN: Improved Multi-Label Graph Convolutional Network for Efficient yet Precise Image Classification (Singh et al.),
with the convolutional part frozen: a training takes seconds, so that a tuner may run hundreds. End to end training is
`label_graph.end_to_end`.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from label_graph.classifier import LabelClassifier
from label_graph.cooccurrence import PairCounts
from label_graph.errors import LabelGraphError
from label_graph.graph import LabelledPool, build_classifier
from label_graph.losses import Loss, loss_named, positive_rates
from label_graph.metrics import mean_average_precision
from label_graph.settings import GraphSettings
from label_graph.training_state import TrainingState
from subdatasets.multilabel import PRESENT

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
    groups = [
        {"params": [one for one in module.parameters() if one.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in module.parameters() if one.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate)


@torch.no_grad()
def predict_probabilities(module: torch.nn.Module, features: Tensor) -> Tensor:
    """Probabilities float64 (N, L) of features, on the CPU; the module is left in evaluation mode."""
    module.eval()
    place = next(module.parameters()).device
    found: Tensor = module(features.to(place)).cpu().double().sigmoid()
    return found
