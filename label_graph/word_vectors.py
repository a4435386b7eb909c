"""Word vectors of the labels from a file: ML-GCN's node features, `.txt` as GloVe publishes them, or `.npz`.

Multi-Label Image Recognition with Graph Convolutional Networks (Chen et al., 2019), arXiv:1904.03582: a label of
several words gets the mean of their vectors.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from label_graph.errors import LabelGraphError


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
        found = read_npz(path, wanted) if path.suffix == ".npz" else read_text(path, wanted)
    except OSError as error:
        raise LabelGraphError(f"{path} cannot be read ({error.strerror or error}); name a file of vectors.") from error
    rows = []
    for label in labels:
        parts = [found[label]] if label in found else [found[word] for word in words_of(label) if word in found]
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
    found: dict[str, np.ndarray] = {}
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
            found.setdefault(word, vector)
    return found


def read_npz(path: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    """The wanted words' vectors of an array file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            words, vectors = file["words"], np.asarray(file["vectors"], dtype=np.float64)
    except (ValueError, KeyError) as error:
        raise LabelGraphError(f"{path} must hold the arrays `words` (n,) and `vectors` (n, d): {error}.") from error
    if vectors.ndim != 2 or words.shape != vectors.shape[:1] or not np.isfinite(vectors).all():
        raise LabelGraphError(
            f"{path}: `words` has shape {words.shape} and `vectors` {vectors.shape}; they must be (n,) and (n, d), all "
            f"finite."
        )
    return {str(word): vector for word, vector in zip(words, vectors, strict=True) if str(word) in wanted}
