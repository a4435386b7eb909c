"""Features with context: the trunk's map at the cut, and behind it the averages of the depths before it.

An average is the same at every position, so that map and averages are one tensor (N, C + A, H, W): whatever reads
features reads these too, mirrored, mixed and batched alike, and a branch behind the trunk has one input as ever. The
mean over the positions is then the cut's own average beside those of the other depths. The trunk computes them anyway.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from trunk.errors import TrunkError
from trunk.features.source import FeatureSource


class FeaturesWithContext:
    """The rows of `maps` (N, C, H, W) with averages (N, A) of other depths; `views` (V, N, A): those of other views."""

    def __init__(self, maps: FeatureSource, averages: Tensor, views: Tensor | None = None) -> None:
        if len(maps) != len(averages) or averages.dim() != 2:
            raise TrunkError(f"There are {len(maps)} rows of features, but averages of shape {tuple(averages.shape)}.")
        self.maps, self.averages, self.views = maps, averages, views
        self.context = averages.shape[1]

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.maps.shape
        return channels + self.context, height, width

    @property
    def trunk_shape(self) -> tuple[int, int, int]:
        """The shape before compression of the map, which alone is compressed."""
        shape: tuple[int, int, int] = getattr(self.maps, "trunk_shape", self.maps.shape)
        return shape[0] + self.context, *shape[1:]

    @property
    def codec(self) -> object:
        """What the maps are stored by."""
        return getattr(self.maps, "codec", None)

    def __len__(self) -> int:
        return len(self.maps)

    def gather(self, indices: Tensor) -> Tensor:
        """Rows `indices` (n,) as float32 (n, C + A, H, W), in channels-last memory order."""
        maps = self.maps.gather(indices)
        return with_context(maps, self.averages[indices]).contiguous(memory_format=torch.channels_last)

    def drawn(self, rng: np.random.Generator) -> Self:
        """Of every image one view, map and averages of the same one; see `trunk.features.cached.drawn`."""
        if self.views is None:
            return self
        chosen = rng.integers(0, len(self.views) + 1, len(self))
        averages = self.averages.clone()
        for number, view in enumerate(self.views, start=1):
            rows = torch.from_numpy(np.flatnonzero(chosen == number))
            averages[rows] = view[rows]
        return type(self)(self.maps.chosen(chosen), averages)  # type: ignore[attr-defined]


def context_of(features: FeatureSource) -> int:
    """How many of the last channels are averages of other depths."""
    return int(getattr(features, "context", 0))


def map_of(features: FeatureSource) -> FeatureSource:
    """The features without context."""
    return features.maps if isinstance(features, FeaturesWithContext) else features


def with_context(maps: Tensor, averages: Tensor) -> Tensor:
    """Maps (N, C, H, W) and averages (N, A) -> (N, C + A, H, W)."""
    spread = averages[:, :, None, None].expand(-1, -1, *maps.shape[2:])
    return torch.cat([maps, spread], 1)


def read(maps: Mapping[int, Tensor], depth: int, sources: Sequence[int]) -> Tensor:
    """Maps by depth -> the map at `depth` with the averages of the `sources`, earlier depths, in their order."""
    if not sources:
        return maps[depth]
    return with_context(maps[depth], torch.cat([maps[source].mean((2, 3)) for source in sources], 1))
