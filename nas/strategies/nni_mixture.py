"""The macro space as one differentiable network for NNI's DARTS, and what trains it.

DARTS: Differentiable Architecture Search (Liu, Simonyan, Yang, 2019), arXiv:1806.09055. Every decision of the space is
a choice of that decision's label. Operations, activations and poolings are mixed as in the paper; edges, depth and
shortcut are mixed numbers between 0 and 1; widths are masks over the channels of the widest, as in FBNetV2 (Wan et al.,
2020), arXiv:2004.05565. Where every choice is certain, the mixture computes what the architecture's path through the
shared weights computes.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init
from torch.utils.data import IterableDataset

from branches.layers import (
    POOLINGS,
    STEP_FEATURES,
    activation,
    average_pool,
    initialise,
    normed,
    pooled_features,
    stem,
)
from branches.settings import FitSettings
from branches.training import adamw, batches, schedule
from foundation.provenance import seed_of
from nas.errors import SearchError
from nas.strategies.nni_extra import quiet_nni, require_nni
from search_spaces import Space
from search_spaces.decisions import Decision
from trunk.features.cached import drawn
from trunk.features.source import LabelledFeatures

require_nni()
with quiet_nni():
    from nni.nas.evaluator.pytorch import LightningModule
    from nni.nas.nn.pytorch import LayerChoice, ModelSpace


class Constant(nn.Module):
    """A candidate that is a value: a choice among such gives the value expected under the choice's probabilities."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value: Tensor
        self.register_buffer("value", value, persistent=False)

    def forward(self, _: Tensor) -> Tensor:
        """The value, whatever the input."""
        return self.value


class MacroMixture(ModelSpace):  # type: ignore[misc]
    """Features (N, C, H, W) -> logits (N, values) of all architectures of a macro space at once.

    Weights are drawn from `generator` alone. The label of a choice is the decision's name, a choice its index.

    Raises: SearchError for a space that is not macro.
    """

    def __init__(self, space: Space, channels: int, values: int, *, generator: torch.Generator) -> None:
        super().__init__()
        if space.name != "macro":
            raise SearchError(f"DARTS runs on the macro space alone, not on {space.name!r}; choose another strategy.")
        decisions = {decision.name: decision for decision in space.decisions}
        widths = [int(width) for width in decisions["width"].choices]
        widest = max(widths)
        count = sum(decision.kind == "operation" for decision in space.decisions)
        self.stem = stem(channels, widest)
        self.width = constants(decisions["width"], [torch.arange(widest) < width for width in widths])
        depth = decisions.get("depth", Decision("depth", (count,), "depth"))
        self.depths = [int(str(choice)) for choice in depth.choices]
        self.depth = constants(depth, torch.eye(len(self.depths)))
        self.nodes = nn.ModuleList(
            nn.Sequential(
                choice(
                    decisions[f"node{number}.operation"],
                    (normed(str(name), widest) for name in decisions[f"node{number}.operation"].choices),
                ),
                choice(
                    decisions[f"node{number}.activation"],
                    (activation(str(name)) for name in decisions[f"node{number}.activation"].choices),
                ),
            )
            for number in range(1, count + 1)
        )
        self.edges = nn.ModuleDict(
            {
                decision.name: constants(decision, [torch.zeros(()), torch.ones(())])
                for decision in space.decisions
                if decision.kind == "edge"
            }
        )
        pooling, shortcut = decisions["head.pooling"], decisions["head.shortcut"]
        self.pooled = choice(pooling, (pooled_linear(str(name), widest, values) for name in pooling.choices))
        self.shortcut = constants(shortcut, [torch.tensor(float(on)) for on in shortcut.choices])
        self.shortcut_norm = nn.BatchNorm1d(channels, affine=False)
        self.shortcut_scale = min(1.0, STEP_FEATURES / channels)
        self.shortcut_linear = skip_init(nn.Linear, channels, values, bias=False)  # type: ignore[no-untyped-call]
        initialise(self, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) -> logits (N, values)."""
        features = features.contiguous(memory_format=torch.channels_last)
        mask = self.width(features)[:, None, None]
        gates = {name: edge(features) for name, edge in self.edges.items()}
        first = self.stem(features) * mask
        maps: list[Tensor] = []
        for number, node in enumerate(self.nodes, start=1):
            inputs = first
            for source in range(1, number):  # the stem is read when no edge is there
                inputs = inputs * (1 - gates[f"edge{source}-{number}"])
            for source in range(1, number):
                inputs = inputs + gates[f"edge{source}-{number}"] * maps[source - 1]
            maps.append(node(inputs) * mask)
        shares = self.shares(gates, self.depth(features))
        output = sum((share * node_map for share, node_map in zip(shares, maps, strict=True)), torch.zeros_like(first))
        shortcut = self.shortcut_linear(self.shortcut_norm(average_pool(features)) * self.shortcut_scale)
        logits: Tensor = self.pooled(output) + self.shortcut(features) * shortcut
        return logits

    def shares(self, gates: dict[str, Tensor], depths: Tensor) -> list[Tensor]:
        """How much of the head's input each node is: of every depth's nodes those that nobody reads, in equal parts."""
        shares = [torch.zeros_like(depths[0]) for _ in self.nodes]
        for index, depth in enumerate(self.depths):
            unread = [torch.ones_like(depths[0]) for _ in range(depth)]
            for source in range(1, depth + 1):
                for reader in range(source + 1, depth + 1):
                    unread[source - 1] = unread[source - 1] * (1 - gates[f"edge{source}-{reader}"])
            total = torch.stack(unread).sum()
            for node, free in enumerate(unread):
                shares[node] = shares[node] + depths[index] * free / total
        return shares


def choice(decision: Decision, candidates: Iterable[nn.Module]) -> nn.Module:
    """One of the candidates, labelled as the decision."""
    made: nn.Module = LayerChoice(list(candidates), label=decision.name)
    return made


def constants(decision: Decision, values: Iterable[Tensor]) -> nn.Module:
    """One of the values, labelled as the decision."""
    return choice(decision, [Constant(value.float()) for value in values])


def pooled_linear(pooling: str, width: int, values: int) -> nn.Module:
    """A pooling and the linear layer on its features."""
    linear: nn.Module = skip_init(nn.Linear, pooled_features(pooling, width), values)  # type: ignore[no-untyped-call]
    return nn.Sequential(OrderedDict(pool=POOLINGS[pooling].module(), linear=linear))


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
        position = {parameter: index for index, parameter in enumerate(self.model.parameters())}
        for group in self.optimizers_of_both["choices"].param_groups:
            group["params"].sort(key=position.__getitem__)
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
