"""How far a training of label classifiers is: epochs, their record, the best weights, and a checkpoint of it all."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from label_graph.errors import LabelGraphError
from label_graph.settings import GraphSettings
from trunk.checkpoints import load_checkpoint, optimizer_tensors, restore_optimizer, save_checkpoint

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
        self.identity = [*asdict(settings).values(), *about]
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
        if record["settings"] != self.identity:
            raise LabelGraphError(
                f"{self.file} is of a training with other settings or data; restore them, or delete the file to start "
                f"anew."
            )
        names = set(self.module.state_dict())
        self.module.load_state_dict({name: value for name, value in tensors.items() if name in names})
        self.best = {name: tensors[f"{BEST}{name}"] for name in names}
        restore_optimizer(self.optimizer, tensors)
        self.history, self.epoch = record["history"], len(record["history"])
        self.best_score, self.best_epoch = record["best_score"], record["best_epoch"]
        self.before = record["seconds"]
        return True
