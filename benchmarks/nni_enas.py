"""NNI 3.0's ENAS on our macro space: the other side of `benchmarks.search_against_nni`, in an environment of its own.

What it takes to run it beside today's PyTorch and Lightning: a train loader that yields the tagged batches its
training step expects (Lightning no longer hands over which loader a batch is from), and a hook that makes the choice of
any number of inputs, `InputChoice(n_chosen=None)`, a path. The strategy is driven as NNI's sequential engine drives it,
in this process, without a tuning service. Its policy, replay buffer and updates are NNI's defaults.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from nni.nas.evaluator.pytorch import Lightning, LightningModule, Trainer
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from nni.nas.oneshot.pytorch.supermodule.sampling import PathSamplingInput
from nni.nas.strategy import ENAS
from torch import Tensor, nn
from torch.nn import functional

from branches.layers import POOLINGS, STEP_FEATURES, AveragePool, activation, operation, pooled_features, stem
from branches.settings import FitSettings
from branches.training import adamw
from trunk.features.source import LabelledFeatures

Batch = tuple[Tensor, Tensor]


class MacroSpace(ModelSpace):
    """The macro space with one width: the operations, activations, edges and heads of `search_spaces.macro`."""

    def __init__(
        self, channels: int, width: int, nodes: int, values: int, operations: list[str], activations: list[str]
    ):
        super().__init__()
        self.stem = stem(channels, width)
        self.edges, self.operations, self.activations = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for node in range(1, nodes + 1):
            if node > 1:
                self.edges.append(InputChoice(node - 1, n_chosen=None, label=f"edges{node}"))
            made = {name: nn.Sequential(operation(name, width), nn.BatchNorm2d(width)) for name in operations}
            self.operations.append(LayerChoice(made, label=f"operation{node}"))
            self.activations.append(
                LayerChoice({name: activation(name) for name in activations}, label=f"activation{node}")
            )
        heads = {
            name: nn.Sequential(pool.module(), nn.Linear(pooled_features(name, width), values))
            for name, pool in POOLINGS.items()
        }
        self.head = LayerChoice(heads, label="pooling")
        # The linear layer of our head reads pooled and trunk features side by side: the sum of two layers.
        self.shortcut = LayerChoice({"off": Nothing(), "on": Shortcut(channels, values)}, label="shortcut")

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) -> logits (N, values) of the path sampled last."""
        first = self.stem(features)
        maps: list[Tensor] = []
        unread = set(range(len(self.operations)))
        for node, (apply, activate) in enumerate(zip(self.operations, self.activations, strict=True)):
            read = self.edges[node - 1]._sampled if node else []
            unread -= set(read)
            maps.append(activate(apply(self.edges[node - 1](maps) if read else first)))
        output = sum(maps[node] for node in sorted(unread)) / len(unread)
        return self.head(output) + self.shortcut(features)


class Shortcut(nn.Sequential):
    """The trunk's features, averaged, normalised and scaled as in `branches.layers.Head`, to logits."""

    def __init__(self, channels: int, values: int):
        super().__init__(AveragePool(), nn.BatchNorm1d(channels, affine=False), nn.Linear(channels, values, bias=False))
        self.scale = min(1.0, STEP_FEATURES / channels)

    def forward(self, features: Tensor) -> Tensor:
        return self[2](self[1](self[0](features)) * self.scale)


class Nothing(nn.Module):
    def forward(self, features: Tensor) -> float:
        return 0.0


class AnyInputs(PathSamplingInput):
    """A path through an InputChoice of any number of inputs, which NNI's own class refuses."""

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict, mutate_kwargs: dict) -> "AnyInputs | None":
        if type(module) is InputChoice and module.n_chosen is None:
            return cls(module.n_candidates, None, "sum", module.label)
        return None


class Tagged:
    """Batches of an epoch as (batch, "train" or "val"): first the child's steps, then the rewards."""

    def __init__(self, train: LabelledFeatures, val: LabelledFeatures, batch_size: int, seed: int):
        self.splits = {"train": train, "val": val}
        self.batch_size, self.rng = batch_size, np.random.default_rng(seed)

    def __len__(self) -> int:
        return sum(len(split) // self.batch_size for split in self.splits.values())

    def __iter__(self) -> Iterator[tuple[Batch, str]]:
        for tag, split in self.splits.items():
            order = torch.from_numpy(self.rng.permutation(len(split)))
            for rows in order.split(self.batch_size)[: len(split) // self.batch_size]:
                # the layout our branches work in, without which NNI's side is slower
                features = split.features.gather(rows).contiguous(memory_format=torch.channels_last)
                yield (features, split.labels[rows]), tag


class Enas(ENAS):
    def train_dataloader(self, train_dataloader_fn: Any, val_dataloader_fn: Any) -> Any:
        return train_dataloader_fn()  # the tagged batches hold both


class Classifier(LightningModule):
    """Child loss and reward, and the seconds of the whole run and of the policy's parts."""

    def __init__(self, settings: FitSettings):
        super().__init__()
        self.settings = settings
        self.seconds = {"search": 0.0, "cpu": 0.0, "sampling": 0.0, "updates": 0.0}
        self.counts = {"child_steps": 0, "rewards": 0}
        self.oneshot: Callable[[], Any] = lambda: None  # NNI's module around this one, once it is there

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return adamw(self, self.settings)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        self.counts["child_steps"] += 1
        return functional.cross_entropy(self.model(batch[0]), batch[1])

    def validation_step(self, batch: Batch, _: int) -> None:
        self.counts["rewards"] += 1
        found = self.model(batch[0]).argmax(1) == batch[1]
        self.log("reward", found.float().mean(), on_step=True, on_epoch=False)

    def on_train_start(self) -> None:
        module = self.oneshot()
        module.generator.next_sample = self.timed(module.generator.next_sample, "sampling")
        module.policy.update = self.timed(module.policy.update, "updates")
        self.started = time.perf_counter(), time.process_time()

    def on_train_end(self) -> None:
        self.seconds["search"] = time.perf_counter() - self.started[0]
        self.seconds["cpu"] = time.process_time() - self.started[1]

    def timed(self, call: Any, name: str) -> Any:
        def run(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            answer = call(*arguments, **options)
            self.seconds[name] += time.perf_counter() - started
            return answer

        return run


def search(
    train: LabelledFeatures, val: LabelledFeatures, *, settings: FitSettings, space: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Run the search; seconds of the whole without start-up and of the policy's parts, counts, and what it exports."""
    warnings.filterwarnings("ignore")
    pl.seed_everything(seed)
    model = MacroSpace(train.features.shape[0], values=train.values, **space)
    classifier = Classifier(settings)
    trainer = Trainer(
        max_epochs=settings.epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    strategy = Enas(reward_metric_name="reward", mutation_hooks=[AnyInputs.mutate])
    loader = Tagged(train, val, settings.batch_size, seed)
    model = strategy.mutate_model(model)
    evaluator = strategy.mutate_evaluator(
        Lightning(classifier, trainer, train_dataloaders=loader, val_dataloaders=loader)
    )
    classifier.oneshot = lambda: evaluator.module
    evaluator.evaluate(model)
    exported = evaluator.module.export()  # from the trained policy: `export_top_models` would make a new one
    return {**classifier.seconds, **classifier.counts, "exported": exported}
