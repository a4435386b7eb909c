"""The dynamic graph: one backbone, one linear layer per attribute, and the batches that train them.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.2. Each
step draws one attribute at random, fetches a batch of its sub-dataset, and updates the backbone and that attribute's
layer alone. Beyond the paper, as options: several attributes per step; class-balanced batches; and labels that an image
has in other sub-datasets (same content), which make more of eq. 1's epsilon_t one instead of zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import skip_init

from subdatasets.contents import content_hashes
from subdatasets.subdataset import SubDataset
from trunk.backbones import BlockChain
from trunk.errors import TrunkError

UNKNOWN = -1


class DynamicGraph(nn.Module):
    """Convolution and batch-norm layers shared by all attributes, then pooling, then one linear layer per attribute.

    Shapes: images (N, 3, S, S) -> pooled (N, C); ``classify`` pooled (N, C) -> logits (N, values of the attribute).
    """

    def __init__(
        self, chain: BlockChain, channels: int, values: Sequence[int], *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.chain = chain
        self.heads = nn.ModuleList(skip_init(nn.Linear, channels, count) for count in values)  # type: ignore[no-untyped-call]
        for head in self.heads:
            assert isinstance(head, nn.Linear)
            nn.init.uniform_(head.weight, -(channels**-0.5), channels**-0.5, generator=generator)
            nn.init.zeros_(head.bias)

    def forward(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.chain(images).mean(dim=(2, 3))
        return pooled

    def classify(self, pooled: Tensor, attribute: int) -> Tensor:
        """Logits of one attribute; no other attribute's weights take part."""
        logits: Tensor = self.heads[attribute](pooled)
        return logits

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Eq. 1: the sum of each attribute's cross entropy over the images that carry a label for it.

        labels: int64 (N, attributes), -1 where epsilon_t is zero.
        """
        pooled = self(images)
        known = labels >= 0
        losses = [
            F.cross_entropy(self.classify(pooled[known[:, t]], t).float(), labels[known[:, t], t])
            for t in known.any(dim=0).nonzero().flatten().tolist()
        ]
        return torch.stack(losses).sum()


@dataclass(frozen=True)
class PooledImages:
    """The distinct images of several sub-datasets with what is known of each: -1 stands for unknown.

    labels: int16 (images, attributes); members: per attribute and value, the rows of its training split.
    """

    paths: list[Path]
    labels: NDArray[np.int16]
    train_rows: list[list[NDArray[np.int64]]]
    val_rows: list[NDArray[np.int64]]

    @property
    def attributes(self) -> int:
        return len(self.train_rows)


def pool_images(subdatasets: Sequence[SubDataset], *, hashes: Mapping[Path, str] | None = None) -> PooledImages:
    """Join sub-datasets on image content (SHA-256), so that an image's labels from all of them are known together.

    An image that is held out (val or test) by any attribute trains none: its labels for other attributes could tell
    the trunk what that attribute's split is meant to measure.
    """
    if not subdatasets:
        raise TrunkError("Trunk training needs at least one sub-dataset; add one with 'graftnet data import'.")
    everything = [example for subdataset in subdatasets for example in subdataset.examples]
    hashes = hashes or content_hashes([example.path for example in everything])
    held_out = {hashes[example.path] for example in everything if example.split != "train"}
    used = [example for example in everything if example.split != "test"]
    rows: dict[str, int] = {}
    paths: list[Path] = []
    for example in used:
        if rows.setdefault(hashes[example.path], len(paths)) == len(paths):
            paths.append(example.path)
    labels = np.full((len(paths), len(subdatasets)), UNKNOWN, dtype=np.int16)
    train_rows, val_rows = [], []
    for t, subdataset in enumerate(subdatasets):
        train, val = subdataset.split("train"), subdataset.split("val")
        by_value: list[list[int]] = [[] for _ in subdataset.attribute.values]
        for example in (*train, *val):
            labels[rows[hashes[example.path]], t] = example.value
        for example in train:
            if hashes[example.path] not in held_out:
                by_value[example.value].append(rows[hashes[example.path]])
        empty = [name for name, found in zip(subdataset.attribute.values, by_value, strict=True) if not found]
        if empty:
            raise TrunkError(
                f"Sub-dataset {subdataset.attribute.name!r} has no training image of value {empty[0]!r} that no other "
                f"attribute holds out; add some, or leave the attribute out of trunk.attributes."
            )
        train_rows.append([np.array(found, dtype=np.int64) for found in by_value])
        val_rows.append(np.array([rows[hashes[example.path]] for example in val], dtype=np.int64))
    return PooledImages(paths, labels, train_rows, val_rows)


@dataclass(frozen=True)
class Batch:
    """Rows of :class:`PooledImages` that one step trains on, with the labels that count in it (N, attributes)."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]


class BatchPlan:
    """Which images step ``s`` trains on: a pure function of (seed, s), so that a resumed run sees the same batches."""

    def __init__(
        self,
        images: PooledImages,
        *,
        batch_size: int,
        attributes_per_step: int = 1,
        balanced: bool = True,
        shared_labels: bool = False,
        seed: int = 0,
    ) -> None:
        if not 1 <= attributes_per_step <= images.attributes:
            raise TrunkError(
                f"trunk.attributes_per_step must lie between 1 and the number of attributes ({images.attributes}), is "
                f"{attributes_per_step}."
            )
        if batch_size < 2 * attributes_per_step:
            raise TrunkError(f"trunk.batch_size must be at least 2 per attribute of a step, is {batch_size}.")
        self.images = images
        self.batch_size = batch_size
        self.attributes_per_step = attributes_per_step
        self.balanced = balanced
        self.shared_labels = shared_labels
        self.seed = seed

    def batch(self, step: int) -> Batch:
        """The batch of one step; attributes are drawn uniformly, whatever their sub-datasets' sizes."""
        rng = np.random.default_rng((self.seed, step))
        attributes = rng.choice(self.images.attributes, self.attributes_per_step, replace=False)
        sizes = np.full(len(attributes), self.batch_size // len(attributes))
        sizes[: self.batch_size % len(attributes)] += 1
        rows, labels = [], []
        for t, size in zip(attributes.tolist(), sizes.tolist(), strict=True):
            drawn = self.draw(t, size, rng)
            known = np.full((size, self.images.attributes), UNKNOWN, dtype=np.int64)
            if self.shared_labels:
                known[:] = self.images.labels[drawn]
            known[:, t] = self.images.labels[drawn, t]
            rows.append(drawn)
            labels.append(known)
        return Batch(np.concatenate(rows), np.concatenate(labels))

    def draw(self, attribute: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """``size`` training rows of one attribute, values in equal shares when balanced, else as they occur."""
        by_value = self.images.train_rows[attribute]
        if not self.balanced:
            pool = np.concatenate(by_value)
            return rng.choice(pool, size, replace=size > len(pool))
        values = rng.permutation(np.arange(size) % len(by_value))
        return np.array([rng.choice(by_value[value]) for value in values], dtype=np.int64)
