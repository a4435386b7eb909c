"""How well the linear layers of a dynamic graph tell their attributes' val images apart, while it trains."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from trunk.dynamic_graph import DynamicGraph, PooledImages
from trunk.precision import autocast

BATCH_SIZE = 128


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

    load: batches of rows of ``images`` -> normalised pictures (n, 3, S, S), in the same order.
    An attribute whose chosen val images lack a value is left out. ``graph`` is left in evaluation mode.
    """
    chosen = [rng.permutation(rows)[:limit] for rows in images.val_rows]
    rows = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *chosen]))
    graph.eval()
    if not len(rows):
        return {}
    place = {int(row): index for index, row in enumerate(rows)}
    features = pooled_features(graph, load(np.split(rows, range(BATCH_SIZE, len(rows), BATCH_SIZE))), precision)
    figures = {}
    for t, name in enumerate(names):
        labels = images.labels[chosen[t], t]
        if len(set(labels.tolist())) < len(images.train_rows[t]):
            continue
        scores = graph.classify(features[[place[int(row)] for row in chosen[t]]], t).softmax(dim=1).cpu().numpy()
        several = scores.shape[1] > 2
        target, score = (labels, scores) if several else (labels == 1, scores[:, 1])
        figures[name] = float(roc_auc_score(target, score, multi_class="ovr"))
    return figures


@torch.inference_mode()
def pooled_features(graph: DynamicGraph, batches: Iterable[Tensor], precision: str) -> Tensor:
    """Pictures (n, 3, S, S) in batches -> pooled features (N, C); ``graph`` is left in evaluation mode."""
    graph.eval()
    weight = next(graph.parameters())
    pooled = []
    for images in batches:
        with autocast(precision, weight.device):
            pooled.append(graph(images).to(weight.dtype))
    return torch.cat(pooled)
