"""Build untrained label classifiers from settings and training images: nodes, edges, widths."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from label_graph.classifier import GCN, LabelClassifier, PooledFeatures
from label_graph.cooccurrence import PairCounts, count_pairs, label_adjacency
from label_graph.errors import LabelGraphError
from label_graph.nodes import identity_nodes, image_embeddings, principal_components, unit_scale, word_vectors
from label_graph.settings import GraphSettings
from subdatasets.labels.table import States


class LabelledPool(NamedTuple):
    """Images of one split: pooled features (N, C), and int8 states (N, L): 1 present, 0 absent, -1 unknown."""

    features: PooledFeatures
    states: States


def build_classifier(
    train: LabelledPool,
    settings: GraphSettings,
    *,
    labels: Sequence[str],
    counts: PairCounts | None = None,
    words: Path | None = None,
) -> LabelClassifier:
    """The classifiers of these settings, their weights drawn from ``settings.seed``.

    Pooled features are standardised by the training images; image nodes (eq. 5) are means of what is standardised, so
    that a node says in what its label's images differ from all images.

    Args:
        labels: their names, (L,).
        counts: of label pairs; by default those of ``train``.
        words: a file of word vectors, where ``settings.nodes`` is "words".

    Raises:
        LabelGraphError: there is no training image, or the file of word vectors is missing or lacks a label.
    """
    pooled = train.features.by(settings.pooling)
    if not len(pooled) or len(pooled) != len(train.states) or train.states.shape[1] != len(labels):
        raise LabelGraphError(
            f"A label graph needs the features and the states of the same training images, got {len(pooled)} rows of "
            f"features and states of shape {train.states.shape} for {len(labels)} labels."
        )
    mean, deviation = pooled.mean(dim=0), pooled.std(dim=0, unbiased=False)
    generator = torch.Generator().manual_seed(settings.seed)
    width = pooled.shape[1]
    if settings.graph == "none":
        return LabelClassifier(
            width, len(labels), pooling=settings.pooling, mean=mean, deviation=deviation, generator=generator
        )
    nodes = node_features(settings, (pooled - mean) / deviation.clamp_min(1e-6), train.states, labels, words)
    widths = [nodes.shape[1], *[settings.hidden] * (settings.layers - 1), width]
    return LabelClassifier(
        width,
        len(labels),
        gcn=GCN(adjacency_of(settings, train.states, labels, counts), widths, generator=generator),
        nodes=nodes,
        pooling=settings.pooling,
        mean=mean,
        deviation=deviation,
    )


def node_features(
    settings: GraphSettings, features: Tensor, states: States, labels: Sequence[str], words: Path | None
) -> Tensor:
    """F^0 of eq. 2, (L, d), by ``settings.nodes``, of norm one on average."""
    if settings.nodes == "words":
        if words is None:
            raise LabelGraphError("Word nodes need a file of word vectors; name one with label_graph.words.")
        return unit_scale(word_vectors(words, labels))
    if settings.nodes == "identity":
        return identity_nodes(len(labels))
    nodes = image_embeddings(features, torch.from_numpy(states), names=labels)
    if settings.nodes == "image_pca":
        nodes = principal_components(nodes, settings.components)
    return unit_scale(nodes)


def adjacency_of(settings: GraphSettings, states: States, labels: Sequence[str], counts: PairCounts | None) -> Tensor:
    """The matrix of eq. 2, float32 (L, L): by co-occurrence (eq. 3 and 4), or the identity."""
    if settings.graph == "identity":
        return torch.eye(len(labels))
    counted = count_pairs(states) if counts is None else counts
    adjacency = label_adjacency(counted, tau=settings.tau, p=settings.p, labels=labels)
    return torch.from_numpy(adjacency.matrix).float()
