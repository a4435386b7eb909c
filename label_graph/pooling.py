"""Feature maps to one vector per image, by their mean and by their maximum, in one pass over what is cached."""

from collections.abc import Callable
from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor

from label_graph.errors import LabelGraphError
from trunk.features import FeatureSource

Pooling = Literal["average", "max"]
POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "average": lambda maps: maps.mean(dim=(2, 3)),
    "max": lambda maps: maps.amax(dim=(2, 3)),
}


def pool(features: Tensor, pooling: str) -> Tensor:
    """(N, C, H, W) -> (N, C); what is pooled already, (N, C), is returned as it is.

    Raises:
        LabelGraphError: there is no pooling of this name.
    """
    if pooling not in POOLINGS:
        raise LabelGraphError(f"label_graph.pooling must be one of {', '.join(POOLINGS)}, is {pooling!r}.")
    return features if features.dim() == 2 else POOLINGS[pooling](features)


class PooledFeatures(NamedTuple):
    """The same images' features pooled both ways, each float32 (N, C), so that a tuner may choose between them."""

    average: Tensor
    max: Tensor

    def by(self, pooling: str) -> Tensor:
        """The ones of this pooling."""
        if pooling not in POOLINGS:
            raise LabelGraphError(f"label_graph.pooling must be one of {', '.join(POOLINGS)}, is {pooling!r}.")
        found: Tensor = getattr(self, pooling)
        return found

    def rows(self, index: Tensor) -> Self:
        """Those of some images, int64 (n,)."""
        return type(self)(self.average[index], self.max[index])


def pool_features(features: FeatureSource, *, batch_size: int = 512) -> PooledFeatures:
    """Pool every row of a cache, or of an array, both ways."""
    parts = []
    for rows in torch.split(torch.arange(len(features)), batch_size):
        maps = features.gather(rows)
        parts.append((pool(maps, "average"), pool(maps, "max")))
    if not parts:
        return PooledFeatures(torch.empty(0, features.shape[0]), torch.empty(0, features.shape[0]))
    return PooledFeatures(torch.cat([one for one, _ in parts]), torch.cat([two for _, two in parts]))
