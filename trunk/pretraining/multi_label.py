"""Pre-training on whole images: every step draws images, whatever their labels, and all that is known of them counts.

The attributes' values are classes of one multi-label classifier: "yes" of a yes/no attribute, every value of one with
more. This is the plain way to train on multi-label data, the baseline of INDeeD (`trunk.pretraining.methods`).
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trunk.images import pixel_batches
from trunk.pretraining.batches import Batch, BatchPlan
from trunk.pretraining.dynamic_graph import UNKNOWN, DynamicGraph, PooledImages, pooled_features
from trunk.pretraining.indeed import binary_cross_entropy
from trunk.pretraining.loop import Pretraining


def class_labels(labels: Tensor, values: Sequence[int]) -> Tensor:
    """Value numbers of attributes (N, attributes) -> classes (N, C): 1 present, 0 absent, -1 unknown.

    values: how many each attribute has; two make one class, the second value, and more make a class each.
    """
    columns = []
    for column, count in zip(labels.T, values, strict=True):
        kinds = torch.arange(1 if count == 2 else 0, count, device=labels.device)
        present = (column[:, None] == kinds).to(labels.dtype)
        columns.append(torch.where(column[:, None] == UNKNOWN, UNKNOWN, present))
    return torch.cat(columns, dim=1)


def class_logits(graph: DynamicGraph, pooled: Tensor, values: Sequence[int]) -> Tensor:
    """Pooled features (N, n) -> logits of the classes (N, C), by the layers of the attributes.

    The logit of a yes/no attribute is yes minus no, so that its sigmoid is the softmax which the layer was made for.
    """
    logits = [graph.classify(pooled, t) for t in range(len(values))]
    return torch.cat([layer[:, 1:] - layer[:, :1] if layer.shape[1] == 2 else layer for layer in logits], dim=1)


class ImagePlan(BatchPlan):
    """Which images step ``s`` trains on: epochs in random order, a pure function of (seed, s).

    What is left of an epoch after its last whole batch is left out; it is other images each time.
    """

    def __init__(self, images: PooledImages, *, batch_size: int, seed: int) -> None:
        super().__init__(images, batch_size=batch_size, shared_labels=True, seed=seed)
        self.rows = np.unique(np.concatenate([rows for by_value in images.train_rows for rows in by_value]))
        self.order = lru_cache(maxsize=2)(self.shuffled)  # steps of two epochs may be loaded at once

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.rows) // self.batch_size)

    def shuffled(self, epoch: int) -> NDArray[np.int64]:
        """All rows in the random order of an epoch."""
        return np.random.default_rng((self.seed, epoch, 5)).permutation(self.rows)

    def batch(self, step: int) -> Batch:
        epoch, number = divmod(step, self.steps_per_epoch)
        drawn = self.order(epoch)[number * self.batch_size : (number + 1) * self.batch_size]
        labels = self.images.labels[drawn].astype(np.int64)
        return Batch(drawn, labels, (len(drawn),), (labels >= 0).sum(axis=0))


class MultiLabelPretraining(Pretraining):
    """Pre-training by binary cross entropy over all classes; its folder, checkpoints and trunk are `Pretraining`'s.

    Of several ranks each takes the mean loss of its part of the batch (with INDeeD, of the pairs within it).
    """

    plan: ImagePlan

    def batch_plan(self) -> ImagePlan:
        return ImagePlan(self.images, batch_size=self.settings.batch_size, seed=self.seed)

    @property
    def values(self) -> list[int]:
        """How many values each attribute has."""
        return [len(subdataset.attribute.values) for subdataset in self.subdatasets]

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "method": "multi-label"}

    def classes(self, batch: Batch) -> Tensor:
        """The labels of a batch as classes, on the CPU."""
        return class_labels(torch.from_numpy(batch.labels), self.values)

    def loss(self, images: Tensor, batch: Batch) -> Tensor:
        logits = class_logits(self.graph, self.graph(images), self.values)
        return binary_cross_entropy(logits, self.classes(batch).to(self.device)) / self.ranks.count

    @torch.inference_mode()
    def scores(self, paths: Sequence[Path], *, batch_size: int = 128) -> NDArray[np.float32]:
        """Probabilities of all classes for image files, (N, C); the network is left in evaluation mode."""
        pixels = pixel_batches(list(paths), self.preprocessing, batch_size)
        batches = (self.preprocessing.normalise(images.to(self.device)) for images in pixels)
        pooled = pooled_features(self.graph, batches, self.precision)
        probabilities: NDArray[np.float32] = class_logits(self.graph, pooled, self.values).sigmoid().cpu().numpy()
        return probabilities
