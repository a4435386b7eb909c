"""What the nodes of a label graph hold at the start: image embeddings, their principal components, words, or nothing.

IML-GCN: Improved Multi-Label Graph Convolutional Network for Efficient yet Precise Image Classification (Singh et al.),
equations 5 and 6. Word vectors (`label_graph.word_vectors`) are ML-GCN's nodes, the baseline there.
"""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from label_graph.cooccurrence import LabelGraphWarning
from label_graph.errors import LabelGraphError


def image_embeddings(features: Tensor, states: Tensor, *, names: Sequence[str] | None = None) -> Tensor:
    """The mean feature of each label's positives, eq. 5: F_I (L, d).

    A label without a positive gets the mean over all images: nothing is known that tells it from the others. A warning
    names such labels.

    Args:
        features: pooled, (N, d). states: (N, L), 1 where a label is present; other states do not count.
        names: of the labels, for the warning.

    Raises:
        LabelGraphError: there is no image, or the two disagree in their number.
    """
    if not len(features) or len(features) != len(states):
        raise LabelGraphError(
            f"Image embeddings need the features and the labels of the same images, got {len(features)} and "
            f"{len(states)}; give at least one training image."
        )
    present = (states == 1).to(features.dtype)
    counts = present.sum(dim=0)
    sums = present.T @ features
    empty = counts == 0
    if bool(empty.any()):
        rows = torch.nonzero(empty).flatten().tolist()
        shown = ", ".join(names[row] if names else str(row) for row in rows[:5])
        warnings.warn(
            f"{len(rows)} of {len(counts)} labels have no positive training image and start from the mean of all "
            f"images ({shown}).",
            LabelGraphWarning,
            stacklevel=2,
        )
    return torch.where(empty[:, None], features.mean(dim=0), sums / counts.clamp_min(1)[:, None])


def principal_components(nodes: Tensor, components: int = 0) -> Tensor:
    """F_PCA of eq. 6: (L, d) -> (L, c), the nodes in their principal axes, the strongest first.

    L nodes have at most min(L, d) axes, and the last of L is empty because their mean is taken off. ``components`` 0,
    or more than there are, gives all of them: c = min(L, d), the paper's L x L where d is larger.
    An axis points where its largest entry is positive, so the order of the labels decides nothing.

    Raises:
        LabelGraphError: ``components`` is negative.
    """
    if components < 0:
        raise LabelGraphError(f"PCA components must be at least 0 (all of them), are {components}.")
    centred = (nodes - nodes.mean(dim=0)).double()
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    count = min(components or len(axes), len(axes))
    found: Tensor = (centred @ axes[:count].T).to(nodes.dtype)
    return found


def identity_nodes(labels: int) -> Tensor:
    """One axis per label, (L, L): what labels share is left to the graph."""
    return torch.eye(labels)


def unit_scale(nodes: Tensor) -> Tensor:
    """Nodes divided by the root mean square of their norms, so that one learning rate suits every kind of node."""
    scale = nodes.norm(dim=1).square().mean().sqrt()
    return nodes / scale if scale > 0 else nodes
