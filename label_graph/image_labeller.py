"""A whole network from images to labels, backbone and label classifiers, and how images pass it."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from label_graph.classifier import LabelClassifier
from label_graph.pooling import PooledFeatures, pool
from trunk.backbones import BlockChain
from trunk.held_images import HeldImages
from trunk.images import DECODING_THREADS, ahead
from trunk.precision import autocast

BATCH_SIZE = 64


class ImageLabeller(nn.Module):
    """A backbone's blocks and the classifiers on its last map (IML-GCN, figure 2).

    Shapes: images (N, 3, S, S), normalised -> logits (N, L).
    """

    def __init__(self, chain: BlockChain, classifier: LabelClassifier) -> None:
        super().__init__()
        self.chain = chain
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        maps = self.chain(images)
        # The classifiers stay in float32, whatever the backbone runs in: small weights would be rounded away.
        with torch.autocast(maps.device.type, enabled=False):
            logits: Tensor = self.classifier(maps.float())
        return logits


def image_batches(
    held: HeldImages, rows: NDArray[np.int64], device: torch.device, *, batch_size: int = BATCH_SIZE
) -> Iterator[Tensor]:
    """Images of these rows, normalised, in order; they are decoded ahead, in threads."""
    batches: Iterable[NDArray[np.int64]] = np.split(rows, range(batch_size, len(rows), batch_size))
    for pixels in ahead(held.pixels, batches, threads=DECODING_THREADS, depth=4):
        yield held.preprocessing.normalise(torch.from_numpy(pixels).to(device))


@torch.no_grad()
def score_images(network: ImageLabeller, images: Iterable[Tensor], precision: str = "float32") -> Tensor:
    """Probabilities float64 (N, L), on the CPU; the network is left in evaluation mode."""
    network.eval()
    place = next(network.parameters()).device
    found = []
    for batch in images:
        with autocast(precision, place):
            found.append(network(batch).cpu().double().sigmoid())
    return torch.cat(found)


@torch.no_grad()
def embed_images(chain: BlockChain, images: Iterable[Tensor], precision: str = "float32") -> PooledFeatures:
    """Pooled features of the last map (F_GAP of the paper, and by maximum), on the CPU, in evaluation mode."""
    chain.eval()
    place = next(chain.parameters()).device
    average, maximum = [], []
    for batch in images:
        with autocast(precision, place):
            maps = chain(batch)
        average.append(pool(maps.float(), "average").cpu())
        maximum.append(pool(maps.float(), "max").cpu())
    return PooledFeatures(torch.cat(average), torch.cat(maximum))
