"""Features with their labels, wherever they lie: in memory or in the cache on disk."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trunk.errors import TrunkError


class FeatureSource(Protocol):
    """Rows of features of one shape (channels, height, width)."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    def __len__(self) -> int: ...

    def gather(self, indices: Tensor) -> Tensor:
        """Rows ``indices`` (int64, (n,)) as float32 (n, C, H, W)."""
        ...


class ArrayFeatures:
    """Features held in one array (N, C, H, W) or (N, C), float16 or float32, possibly memory-mapped."""

    def __init__(self, array: NDArray[np.generic] | Tensor) -> None:
        self.array = torch.as_tensor(np.asarray(array)) if not isinstance(array, Tensor) else array
        if self.array.dim() == 2:
            self.array = self.array[:, :, None, None]
        if self.array.dim() != 4:
            raise TrunkError(f"Features must have shape (N, C, H, W) or (N, C), have {tuple(self.array.shape)}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self.array.shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self.array)

    def gather(self, indices: Tensor) -> Tensor:
        return self.array[indices].float()


@dataclass(frozen=True)
class LabelledFeatures:
    """One split of one attribute: features, labels int64 (N,) counted from 0, and how many values there are."""

    features: FeatureSource
    labels: Tensor
    values: int

    def __post_init__(self) -> None:
        if len(self.features) != len(self.labels):
            raise TrunkError(f"There are {len(self.features)} rows of features but {len(self.labels)} labels.")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < self.values:
            raise TrunkError(f"Labels must lie between 0 and {self.values - 1}, go up to {int(self.labels.max())}.")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def trunk_shape(self) -> tuple[int, int, int]:
        """(C, H, W) that the branch of these features reads on the trunk: before compression, where they are."""
        shape: tuple[int, int, int] = getattr(self.features, "trunk_shape", self.features.shape)
        return shape

    @property
    def context(self) -> int:
        """How many of the channels, the last, are averages of other depths (`trunk.features.context`)."""
        return int(getattr(self.features, "context", 0))

    @property
    def map_shape(self) -> tuple[int, int, int]:
        """`trunk_shape` without context: what a tail reads."""
        channels, height, width = self.trunk_shape
        return channels - self.context, height, width
