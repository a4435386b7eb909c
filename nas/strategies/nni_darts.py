"""NNI's DARTS: a mixture of all architectures is trained, its likeliest choices are the one candidate.

DARTS: Differentiable Architecture Search (Liu, Simonyan, Yang, 2019), arXiv:1806.09055, first order, as NNI 3.0 has it:
the weights learn from the train split, the choices' probabilities from the val split, a batch of each in turn. The
strategy, its step and its export are NNI's; mixture, batches and the weights' recipe (that of ENAS's) are ours.
"""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import DataLoader

from branches.measures.metrics import REWARDS
from branches.training import check_splits, class_weights, predict_scores
from foundation.history import Progress
from foundation.provenance import seed_of
from nas.candidates import Candidate, record_candidate
from nas.errors import SearchError
from nas.strategies.nni_extra import quiet_nni, require_nni
from nas.strategies.nni_mixture import Batches, MacroMixture, MixtureTraining
from nas.strategies.stages import Stage
from trunk.checkpoints import load_checkpoint, optimizer_tensors, restore_optimizer, restoring, save_checkpoint, under

require_nni()
with quiet_nni():
    from nni.nas.evaluator.pytorch import Lightning, Trainer
    from nni.nas.execution import SequentialExecutionEngine
    from nni.nas.space import RawFormatModelSpace
    from nni.nas.strategy import DARTS

# NNI's (and the paper's) 3e-4 is for some 20,000 steps. A step of Adam moves a logit by about the rate, and a search
# here has some 1,000: with 3e-4 the probabilities would stay where they were drawn.
CHOICE_LEARNING_RATE = 3e-3
ACCELERATORS = {"cpu": "cpu", "cuda": "gpu", "mps": "mps"}


class DartsStage(Stage):
    """Trains the mixture for as many epochs as ENAS trains its shared weights; the first `warmup_epochs` no choices."""

    def propose(self, *, progress: Progress | None) -> list[Candidate]:
        """Train what is left of the epochs; the architecture of the likeliest choices, with the mixture's val score."""
        train, val, search = self.data.train, self.data.val, self.settings.search
        check_splits(train, val)
        settings = search.child
        steps = search.steps(len(train))
        tensors, epoch = self.checkpointed()
        choice_seed = seed_of(self.seed, "choices")

        def begin(training: MixtureTraining) -> None:
            for name, optimizer in training.optimizers_of_both.items():
                restore_optimizer(optimizer, tensors, f"{name}.")

        def end(training: MixtureTraining, loss: float, seconds: float) -> None:
            self.keep(training, loss, seconds)
            if progress:
                progress("search", training.epoch, settings.epochs, {"loss": loss})

        # NNI draws the first probabilities from torch's own generator: it is set aside, seeded, and put back.
        cuda = [self.device] if self.device.type == "cuda" else []
        with (
            quiet_nni(),
            torch.random.fork_rng(devices=cuda),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        ):
            torch.manual_seed(choice_seed)
            generator = torch.Generator().manual_seed(seed_of(self.seed, "supernet"))
            mixture = MacroMixture(self.settings.space, train.features.shape[0], train.values, generator=generator)
            training = MixtureTraining(
                settings,
                steps=steps,
                epoch=epoch,
                class_weights=class_weights(train).to(self.device) if settings.balance == "weights" else None,
                begin=begin,
                end=end,
            )
            natural = replace(settings, balance="none", batch_size=min(settings.batch_size, len(val)))
            evaluator = Lightning(
                training,
                self.trainer(settings.epochs - epoch),
                train_dataloaders=loader(Batches(train, settings, steps=steps, seed=self.seed, epoch=epoch)),
                val_dataloaders=loader(Batches(val, natural, steps=steps, seed=choice_seed, epoch=epoch)),
            )
            strategy = DARTS(
                arc_learning_rate=CHOICE_LEARNING_RATE,
                gradient_clip_val=settings.gradient_clip,
                warmup_epochs=max(0, search.warmup_epochs - epoch),
            )
            strategy.initialize(RawFormatModelSpace(mixture, evaluator), SequentialExecutionEngine())
            strategy.oneshot_module.set_model(mixture)
            if tensors:
                mixture.load_state_dict(under(tensors, "mixture."))
            if epoch < settings.epochs:
                with interruptible():
                    strategy.run()
            chosen = strategy.oneshot_module.export()
            probabilities = strategy.oneshot_module.export_probs()
        decisions = self.settings.space.decisions
        architecture = self.settings.space.architecture([chosen[decision.name] for decision in decisions])
        scores = predict_scores(mixture, val.features, device=self.device)
        score = REWARDS[search.reward](scores, val.labels.numpy())
        candidate = Candidate(architecture, self.penalised(score, architecture), self.settings.strategy)
        record_candidate(
            self,
            0,
            candidate,
            probabilities={decision.name: list(probabilities[decision.name].values()) for decision in decisions},
        )
        return [candidate]

    def trainer(self, epochs: int) -> Any:
        """Lightning's trainer, which writes nothing by itself."""
        return Trainer(
            max_epochs=epochs,
            accelerator=ACCELERATORS[self.device.type],
            devices=[self.device.index or 0] if self.device.type == "cuda" else 1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=self.folder,
        )

    def keep(self, training: MixtureTraining, loss: float, seconds: float) -> None:
        """Write the epoch's record and the checkpoint; the history is cut back to it on resuming."""
        if not math.isfinite(loss):
            raise SearchError(
                f"The mixture's weights diverged in epoch {training.epoch} (loss {loss}); lower search.learning_rate."
            )
        both = training.optimizers_of_both
        rate = both["weights"].param_groups[0]["lr"]
        self.history.append(
            "child_epoch", epoch=training.epoch, steps=training.steps, loss=loss, learning_rate=rate, seconds=seconds
        )
        tensors = {f"mixture.{name}": value for name, value in training.model.state_dict().items()}
        for name, optimizer in both.items():
            tensors |= optimizer_tensors(optimizer, f"{name}.")
        record = {"epoch": training.epoch, "history": self.history.size}
        save_checkpoint(self.folder / "search.safetensors", tensors, record)

    def checkpointed(self) -> tuple[dict[str, torch.Tensor], int]:
        """The tensors of the last epoch that was finished, and how many were; records written after it are cut off."""
        path = self.folder / "search.safetensors"
        tensors, record = load_checkpoint(path) if path.exists() else ({}, {"epoch": 0, "history": 0})
        with restoring(path):
            size, epoch = record["history"], int(record["epoch"])
        self.history.truncate(size)
        return tensors, epoch


def loader(batches: Batches) -> "DataLoader[Any]":
    """The batches as they are: they come from memory or from the cache's memory map, where workers gain nothing."""
    return DataLoader(batches, batch_size=None, num_workers=0)


@contextmanager
def interruptible() -> Iterator[None]:
    """Lightning answers Ctrl-C (and SIGTERM) by a SystemExit, and ignores further ones: make it a KeyboardInterrupt."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from error
