"""The dynamic graph: one backbone, one linear layer per attribute, and the images that train them.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.2. Each
step draws one attribute at random, fetches a batch of its sub-dataset (:mod:`trunk.pretraining.batches`), and updates
the backbone and that attribute's layer alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn.utils import skip_init

from subdatasets.image_files import content_hashes
from subdatasets.subdataset import SubDataset
from trunk.backbones.chain import BlockChain
from trunk.errors import TrunkError
from trunk.precision import autocast

UNKNOWN = -1
BATCH_SIZE = 128  # of validation


class DynamicGraph(nn.Module):
    """Convolution and batch-norm layers shared by all attributes, then pooling, then one linear layer per attribute.

    Shapes: images (N, 3, height, width) -> pooled (N, C); ``classify`` pooled -> logits (N, values of the attribute).
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

    def loss(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        known: Sequence[int] | None = None,
        parts: Sequence[int] | None = None,
        mean: bool = False,
    ) -> Tensor:
        """Eq. 1: the sum over attributes of the mean cross entropy over the images that carry a label for it.

        labels: int64 (N, attributes), -1 where epsilon_t is zero.
        known: how many images carry each attribute's label, (attributes,). Where a batch is shared out, those of the
            whole batch: the parts' losses then add up to its loss. None counts ``labels`` (which waits for a GPU).
        parts: how many images go through batch normalisation together, in their order; None for all of them.
        mean: divide by the number of attributes, instead of eq. 1's sum.
        """
        pooled = self(images) if parts is None else torch.cat([self(part) for part in torch.split(images, list(parts))])
        counts = (labels >= 0).sum(dim=0).tolist() if known is None else list(known)
        losses = [
            F.cross_entropy(self.classify(pooled, t).float(), labels[:, t], ignore_index=UNKNOWN, reduction="sum")
            / counts[t]
            for t in range(len(counts))
            if counts[t]
        ]
        total = torch.stack(losses).sum()
        return total / len(losses) if mean else total


@dataclass(frozen=True)
class PooledImages:
    """The distinct images of several sub-datasets with what is known of each: -1 stands for unknown.

    labels: int16 (images, attributes); train_rows: per attribute and value, the rows of its training split.
    val_rows: per attribute, those of its val split.
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
        empty = [name for name, own in zip(subdataset.attribute.values, by_value, strict=True) if not own]
        if empty:
            raise TrunkError(
                f"Sub-dataset {subdataset.attribute.name!r} has no training image of value {empty[0]!r} that no other "
                f"attribute holds out; add some, or leave the attribute out of trunk.attributes."
            )
        train_rows.append([np.array(own, dtype=np.int64) for own in by_value])
        val_rows.append(np.array([rows[hashes[example.path]] for example in val], dtype=np.int64))
    return PooledImages(paths, labels, train_rows, val_rows)


@torch.inference_mode()
def auroc_per_attribute(
    graph: DynamicGraph,
    images: PooledImages,
    names: Sequence[str],
    load: Callable[[Iterable[NDArray[np.int64]]], Iterable[Tensor]],
    *,
    limit: int,
    precision: str,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Name -> AUROC on at most ``limit`` val images (mean over values, one against the rest).

    load: batches of rows of ``images`` -> normalised pictures (n, 3, height, width), in the same order.
    An attribute whose chosen val images lack a value is left out. ``graph`` is left in evaluation mode.
    """
    chosen = [rng.permutation(rows)[:limit] for rows in images.val_rows]
    rows = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *chosen]))
    graph.eval()
    if not len(rows):
        return {}
    position = {int(row): index for index, row in enumerate(rows)}
    features = pooled_features(graph, load(np.split(rows, range(BATCH_SIZE, len(rows), BATCH_SIZE))), precision)
    figures = {}
    for t, name in enumerate(names):
        labels = images.labels[chosen[t], t]
        if len(set(labels.tolist())) < len(images.train_rows[t]):
            continue
        scores = graph.classify(features[[position[int(row)] for row in chosen[t]]], t).softmax(dim=1).cpu().numpy()
        several = scores.shape[1] > 2
        target, score = (labels, scores) if several else (labels == 1, scores[:, 1])
        figures[name] = float(roc_auc_score(target, score, multi_class="ovr"))
    return figures


@torch.inference_mode()
def pooled_features(graph: DynamicGraph, batches: Iterable[Tensor], precision: str) -> Tensor:
    """Pictures (n, 3, height, width) in batches -> pooled features (N, C); ``graph`` is left in evaluation mode."""
    graph.eval()
    weight = next(graph.parameters())
    pooled = []
    for images in batches:
        with autocast(precision, weight.device):
            pooled.append(graph(images).to(weight.dtype))
    return torch.cat(pooled)
