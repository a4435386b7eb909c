"""From a map to logits: average or bilinear pooling, optionally beside the trunk's own features, then one linear layer.

Bilinear CNN Models for Fine-grained Visual Recognition (Lin et al., 2015), arXiv:1504.07889, section 3: the outer
product of two maps at every position, summed, then a signed square root and L2 normalisation; here both factors are the
same map, as the GraftNet engineering paper uses it (section 3.3, Table 3). C channels make C * C features, so a map of
many channels is first projected to a stated width: the stem of a searched branch does that, `ProjectedBilinearPool`
behind a backbone's own blocks.

A step of Adam moves every weight of the linear layer equally far, so many features together move the logits too far:
at unit scale, the loss of a supernet on CIFAR-10 features grew. Hence the unit length of the bilinear features, and a
scale for the trunk's that makes them weigh in one step as much as `STEP_FEATURES` at most.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from branches.errors import BranchError
from branches.operations import initialise, projection

EPSILON = 1e-3
STEP_FEATURES = 64


def average_pool(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C), the mean over the positions."""
    return maps.mean((2, 3))


def bilinear_pool(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C * C): products of all channel pairs, averaged over the positions, then normalised.

    Signed square root x / sqrt(|x| + eps), which has a finite slope at 0; then L2 normalisation to length one.
    """
    rows = maps.flatten(2)  # (N, C, H * W)
    products = torch.bmm(rows, rows.transpose(1, 2)).flatten(1) / rows.shape[2]  # (N, C * C)
    rooted = products / (products.abs() + EPSILON).sqrt()
    return rooted / (rooted.square().sum(1, keepdim=True) + EPSILON**2).sqrt()


class AveragePool(nn.Module):
    """`average_pool` as a module."""

    def forward(self, maps: Tensor) -> Tensor:
        return average_pool(maps)


class BilinearPool(nn.Module):
    """`bilinear_pool` as a module."""

    def forward(self, maps: Tensor) -> Tensor:
        return bilinear_pool(maps)


class ProjectedBilinearPool(nn.Sequential):
    """1x1 convolution to `width` channels, batch norm, ReLU, `bilinear_pool`: (N, channels, H, W) -> (N, width ** 2).

    The convolution's weights are drawn from `generator` (None: one seeded with 0).
    """

    def __init__(self, channels: int, width: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(OrderedDict(projection=projection(channels, width), pool=BilinearPool()))
        self.width = width
        initialise(self, generator)


POOLINGS: dict[str, Callable[[], nn.Module]] = {"average": AveragePool, "bilinear": BilinearPool}


def pooled_features(pooling: str, width: int) -> int:
    """How many features a pooling makes of `width` channels. Raises: BranchError for an unknown pooling."""
    if pooling not in POOLINGS:
        raise BranchError(f"there is no head pooling {pooling!r}; known: {', '.join(POOLINGS)}")
    return width if pooling == "average" else width * width


class Head(nn.Module):
    """Pooling, dropout, linear: maps (N, width, H, W) and trunk features (N, channels, H, W) -> logits (N, values).

    With the shortcut, the trunk features are averaged over the positions, batch-normalised (nothing learnt), scaled by
    `shortcut_scale` and put behind the pooled ones: a linear probe on the trunk is then a special case.
    Without it `features` are not read. Dropout draws from torch's own generator, as `nn.Dropout` does.
    """

    def __init__(
        self, pooling: str, width: int, channels: int, values: int, *, shortcut: bool, dropout: float = 0.0
    ) -> None:
        super().__init__()
        inputs = pooled_features(pooling, width) + (channels if shortcut else 0)
        self.pool = POOLINGS[pooling]()
        self.shortcut_scale = min(1.0, STEP_FEATURES / channels)
        self.shortcut_norm = nn.BatchNorm1d(channels, affine=False) if shortcut else None
        self.dropout = nn.Dropout(dropout)
        self.linear = skip_init(nn.Linear, inputs, values)  # type: ignore[no-untyped-call]

    def forward(self, maps: Tensor, features: Tensor) -> Tensor:
        pooled = self.pool(maps)
        if self.shortcut_norm is not None:
            pooled = torch.cat([pooled, self.shortcut_norm(average_pool(features)) * self.shortcut_scale], dim=1)
        logits: Tensor = self.linear(self.dropout(pooled))
        return logits
