"""How well the linear layers of a dynamic graph tell their attributes' val images apart, while it trains."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from trunk.dynamic_graph import DynamicGraph, PooledImages
from trunk.images import pixel_batches
from trunk.precision import autocast
from trunk.preprocessing import Preprocessing

BATCH_SIZE = 128


@torch.inference_mode()
def auroc_per_attribute(
    graph: DynamicGraph,
    images: PooledImages,
    names: Sequence[str],
    preprocessing: Preprocessing,
    *,
    limit: int,
    precision: str,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Name -> AUROC on at most ``limit`` val images (mean over values, one against the rest).

    An attribute whose chosen val images lack a value is left out. ``graph`` is left in evaluation mode.
    """
    chosen = [rng.permutation(rows)[:limit] for rows in images.val_rows]
    rows = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *chosen]))
    graph.eval()
    if not len(rows):
        return {}
    place = {int(row): index for index, row in enumerate(rows)}
    weight = next(graph.parameters())
    pooled = []
    for pixels in pixel_batches([images.paths[row] for row in rows], preprocessing, BATCH_SIZE):
        with autocast(precision, weight.device):
            pooled.append(graph(preprocessing.normalise(pixels.to(weight.device))).to(weight.dtype))
    features = torch.cat(pooled)
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
