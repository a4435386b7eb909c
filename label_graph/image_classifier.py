"""A whole network from images to label scores: a backbone, pooling, and the classifiers that a label graph makes.

IML-GCN: Improved Multi-Label Graph Convolutional Network for Efficient yet Precise Image Classification (Singh et al.
2022), figure 2.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from label_graph.classifier import ConstantClassifier, LabelClassifier
from subdatasets.multilabel import States
from trunk.backbones import BlockChain
from trunk.preprocessing import Preprocessing


class LabelledImages(NamedTuple):
    """Images of one split, decoded when asked for.

    pixels: rows int64 (n,) -> uint8 (n, S, S, 3). states: int8 (N, L), 1 present, 0 absent, -1 unknown.
    """

    pixels: Callable[[NDArray[np.int64]], NDArray[np.uint8]]
    states: States


class ImageClassifier(nn.Module):
    """Images to label scores: a backbone's blocks, pooling, one classifier per label.

    Shapes: images (N, 3, S, S), normalised -> logits (N, L).
    """

    def __init__(self, chain: BlockChain, classifier: LabelClassifier | ConstantClassifier) -> None:
        super().__init__()
        self.chain = chain
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.chain(images))
        return logits

    def constant(self) -> "ImageClassifier":
        """The same without the graph, for use: the classifiers' weights are a constant matrix."""
        found = self.classifier
        return ImageClassifier(self.chain, found if isinstance(found, ConstantClassifier) else found.constant()).eval()


@torch.no_grad()
def predict_images(
    module: ImageClassifier, preprocessing: Preprocessing, images: LabelledImages, *, batch_size: int = 64
) -> Tensor:
    """Probabilities float64 (N, L) on the CPU; the module is left in evaluation mode."""
    module.eval()
    place = next(module.parameters()).device
    parts = [
        module(preprocessing.normalise(torch.from_numpy(images.pixels(rows)).to(place))).double().sigmoid().cpu()
        for rows in batches(len(images.states), batch_size)
    ]
    return torch.cat(parts)


def batches(count: int, size: int) -> list[NDArray[np.int64]]:
    """The rows 0 .. count - 1 in order, in parts of at most `size`."""
    return np.array_split(np.arange(count), max(1, math.ceil(count / size)))
