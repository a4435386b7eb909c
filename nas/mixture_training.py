"""How a mixture's weights are trained, as NNI's one-shot strategies take it: a Lightning module, and its batches."""

import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import IterableDataset

from branches.settings import FitSettings
from branches.training import adamw, batches, schedule
from nas.nni_extra import quiet_nni, require_nni
from nas.seeds import seed_of
from trunk.cached_features import drawn
from trunk.features import LabelledFeatures

require_nni()
with quiet_nni():
    from nni.nas.evaluator.pytorch import LightningModule


class Batches(IterableDataset[tuple[Tensor, Tensor]]):
    """`steps` batches of features (n, C, H, W) and labels (n,) an epoch, drawn by seed and epoch (from 0)."""

    def __init__(self, data: LabelledFeatures, settings: FitSettings, *, steps: int, seed: int, epoch: int) -> None:
        self.data, self.settings, self.steps, self.seed, self.epoch = data, settings, steps, seed, epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng(seed_of(self.seed, self.epoch))
        features = drawn(self.data.features, np.random.default_rng(seed_of(self.seed, "views", self.epoch)))
        self.epoch += 1
        order = chain.from_iterable(batches(self.data.labels.numpy(), self.data.values, self.settings, rng))
        for indices in islice(order, self.steps):
            index = torch.from_numpy(indices)
            yield features.gather(index), self.data.labels[index]


class MixtureTraining(LightningModule):  # type: ignore[misc]
    """Loss, optimiser and learning rate of a branch's training, for the mixture that NNI sets as `model`.

    `epoch` of them are done already. `begin` is called before the first step, `end` after each epoch, with its mean
    loss and seconds.
    """

    def __init__(
        self,
        settings: FitSettings,
        *,
        steps: int,
        epoch: int,
        class_weights: Tensor | None,
        begin: Callable[["MixtureTraining"], None],
        end: Callable[["MixtureTraining", float, float], None],
    ) -> None:
        super().__init__()
        self.settings, self.steps, self.epoch = settings, steps, epoch
        self.class_weights, self.begin, self.end = class_weights, begin, end
        self.losses: list[Tensor] = []
        self.started = 0.0

    @property
    def optimizers_of_both(self) -> dict[str, torch.optim.Optimizer]:
        """The optimiser of the weights, and NNI's of the choices."""
        weights, choices = self.trainer.optimizers
        return {"weights": weights, "choices": choices}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """For the weights; NNI takes the choices out of it and gives them one of their own."""
        return adamw(self.model, self.settings)

    def on_train_start(self) -> None:
        """NNI lists the choices in the order of a set: give them one that lasts, for the checkpoint."""
        place = {parameter: index for index, parameter in enumerate(self.model.parameters())}
        for group in self.optimizers_of_both["choices"].param_groups:
            group["params"].sort(key=place.__getitem__)
        self.begin(self)

    def on_train_epoch_start(self) -> None:
        """Begin the epoch's record."""
        self.losses, self.started = [], time.perf_counter()

    def on_train_batch_start(self, _batch: Any, number: int) -> None:
        """The weights' learning rate follows the schedule of a branch's training."""
        done = (self.epoch * self.steps + number) / (self.settings.epochs * self.steps)
        for group in self.optimizers_of_both["weights"].param_groups:
            group["lr"] = self.settings.learning_rate * schedule(done, self.settings.warmup_fraction)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        """The loss of a batch: NNI numbers those of val, which train the choices, evenly, and those of train oddly."""
        features, labels = batch
        if number % 2 == 0:
            return functional.cross_entropy(self.model(features), labels)
        loss = functional.cross_entropy(self.model(features), labels, self.class_weights)
        self.losses.append(loss.detach())
        return loss

    def on_train_epoch_end(self) -> None:
        """End the epoch's record."""
        self.epoch += 1
        self.end(self, float(torch.stack(self.losses).mean()), time.perf_counter() - self.started)
