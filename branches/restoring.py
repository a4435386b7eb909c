"""A tail on features that are stored as principal components: they are brought back to the trunk's channels first."""

from torch import Tensor, nn
from torch.nn import functional


class Restored(nn.Module):
    """`module` on features (N, C, H, W), given their components (N, K, H, W): x = P^T y + mean, nothing learnt."""

    projection: Tensor
    mean: Tensor

    def __init__(self, module: nn.Module, components: Tensor, mean: Tensor) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("projection", components.T[:, :, None, None].clone())
        self.register_buffer("mean", mean.clone())

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.module(functional.conv2d(features, self.projection, self.mean))
        return logits
