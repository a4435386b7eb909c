"""Range, mean and covariance of channels, taken batch by batch, so that no more than a batch is held."""

import torch
from torch import Tensor


class Moments:
    """Over all positions of all maps seen so far; each is one observation of C numbers. Sums are float64.

    products: False leaves out what mean and covariance are made of, and most of the time.
    """

    def __init__(self, channels: int, *, products: bool = True) -> None:
        self.with_products = products
        self.count = 0
        self.lowest = torch.full((channels,), torch.inf)
        self.highest = torch.full((channels,), -torch.inf)
        self.sums = torch.zeros(channels, dtype=torch.float64)
        self.products = torch.zeros(channels, channels, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Take in features, float32 (N, H, W, C)."""
        seen = features.reshape(-1, features.shape[-1]).cpu()
        self.count += len(seen)
        self.lowest = torch.minimum(self.lowest, seen.amin(0))
        self.highest = torch.maximum(self.highest, seen.amax(0))
        if not self.with_products:
            return
        wide = seen.double()
        self.sums += wide.sum(0)
        self.products += wide.T @ wide

    @property
    def mean(self) -> Tensor:
        """float64 (C,)."""
        return self.sums / self.count

    @property
    def covariance(self) -> Tensor:
        """float64 (C, C), of the whole (divided by the count)."""
        return self.products / self.count - torch.outer(self.mean, self.mean)
