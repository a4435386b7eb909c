"""Variations of features in training: mirror images, noise on the channels, mixup.

mixup: Beyond Empirical Risk Minimization (Zhang et al., 2018), arXiv:1710.09412; here on feature maps.
"""

import numpy as np
import torch
from torch import Tensor

from branches.settings import FitSettings


def augmented(
    features: Tensor, target: Tensor, settings: FitSettings, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The batch (n, C, H, W) with its soft targets (n, V) after the mirror image, the noise and the mixup asked for.

    `mirror`: half of the maps are turned left to right. `noise`: each value is scaled by 1 + noise * N(0, 1), per image
    and channel. `mixup`: the batch is mixed with itself in another order, the share drawn from Beta(mixup, mixup).
    """
    if settings.mirror and features.shape[3] > 1:
        turned = torch.from_numpy(rng.random(len(features)) < 0.5).to(features.device)
        features = torch.where(turned[:, None, None, None], features.flip(3), features)
    if settings.noise:
        scale = 1 + settings.noise * rng.standard_normal(features.shape[:2], dtype=np.float32)
        features = features * torch.from_numpy(scale).to(features.device)[:, :, None, None]
    if settings.mixup:
        share = rng.beta(settings.mixup, settings.mixup)
        order = torch.from_numpy(rng.permutation(len(features))).to(features.device)
        features = torch.lerp(features[order], features, share)
        target = torch.lerp(target[order], target, share)
    return features, target
