"""Nodes of a label graph at the start: image embeddings, their principal components, word vectors, or nothing.

IML-GCN: Improved Multi-Label Graph Convolutional Network for Efficient yet Precise Image Classification (Singh et al.),
equations 5 and 6. Word vectors from a file, `.txt` as GloVe publishes them or `.npz`, are ML-GCN's nodes, the baseline
there: Multi-Label Image Recognition with Graph Convolutional Networks (Chen et al., 2019), arXiv:1904.03582; a label of
several words gets the mean of their vectors.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
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
    projected: Tensor = (centred @ axes[:count].T).to(nodes.dtype)
    return projected


def identity_nodes(labels: int) -> Tensor:
    """One axis per label, (L, L): what labels share is left to the graph."""
    return torch.eye(labels)


def unit_scale(nodes: Tensor) -> Tensor:
    """Nodes divided by the root mean square of their norms, so that one learning rate suits every kind of node."""
    scale = nodes.norm(dim=1).square().mean().sqrt()
    return nodes / scale if scale > 0 else nodes


def word_vectors(path: Path, labels: Sequence[str]) -> Tensor:
    """The vectors of the labels, float32 (L, d).

    A label is looked up as it is written, then word by word in lower case ("traffic_light": traffic, light); of its
    words those without a vector are left out.

    Args:
        path: `.txt`, a word and its numbers per line, separated by spaces; or `.npz` with `words` (n,) and `vectors`
            (n, d).

    Raises:
        LabelGraphError: the file cannot be read, or a label has no word in it.
    """
    wanted = {word for label in labels for word in (label, *words_of(label))}
    if path.suffix not in (".txt", ".npz"):
        raise LabelGraphError(f"{path} is no file of word vectors; give a .txt as GloVe's or an .npz.")
    try:
        vectors = read_npz(path, wanted) if path.suffix == ".npz" else read_text(path, wanted)
    except OSError as error:
        raise LabelGraphError(f"{path} cannot be read ({error.strerror or error}); name a file of vectors.") from error
    rows = []
    for label in labels:
        parts = [vectors[label]] if label in vectors else [vectors[word] for word in words_of(label) if word in vectors]
        if not parts:
            raise LabelGraphError(
                f"{path} has no vector for label {label!r}, nor for a word of it; add one, or choose image nodes."
            )
        rows.append(np.mean(parts, axis=0))
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def words_of(label: str) -> list[str]:
    """The words of a label, in lower case: letters and digits between anything else."""
    return [word.lower() for word in re.findall(r"[^\W_]+", label)]


def read_text(path: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    """The wanted words' vectors of a text file; the others are passed over unread."""
    vectors: dict[str, np.ndarray] = {}
    size = None
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            word, _, rest = line.rstrip().partition(" ")
            if word not in wanted:
                continue
            try:
                vector = np.array([float(part) for part in rest.split()], dtype=np.float64)
            except ValueError as error:
                raise LabelGraphError(f"{path}, line {number}: {error}; give a word and its numbers.") from error
            if not len(vector) or len(vector) != (size or len(vector)) or not np.isfinite(vector).all():
                raise LabelGraphError(
                    f"{path}, line {number}: {word!r} has {len(vector)} numbers, must have {size or 'some'}, all "
                    f"finite; correct the line."
                )
            size = len(vector)
            vectors.setdefault(word, vector)
    return vectors


def read_npz(path: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    """The wanted words' vectors of an array file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            words, vectors = file["words"], np.asarray(file["vectors"], dtype=np.float64)
    except FileNotFoundError:
        raise
    except Exception as error:  # numpy reads headers as Python's literals, zipfile whatever a file says: any of theirs
        raise LabelGraphError(f"{path} must hold the arrays `words` (n,) and `vectors` (n, d): {error}.") from error
    if vectors.ndim != 2 or words.shape != vectors.shape[:1] or not np.isfinite(vectors).all():
        raise LabelGraphError(
            f"{path}: `words` has shape {words.shape} and `vectors` {vectors.shape}; they must be (n,) and (n, d), all "
            f"finite."
        )
    return {str(word): vector for word, vector in zip(words, vectors, strict=True) if str(word) in wanted}
