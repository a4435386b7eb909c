"""Number format that a trunk's features are computed in: bfloat16 only where it is measured to leave them alone.

On the clothing photographs EfficientNet-Lite0's averaged features differ by up to 7 % between the formats, and logistic
regression on them has the same mean AUROC to 0.0005 (docs/results.md); the bound lies a little above.
"""

import torch
from torch import Tensor, nn

from trunk.precision import autocast
from trunk.trunk import Trunk

BOUND = 0.1  # relative error of an image's averaged features, at any depth
IMAGES, COARSE = 8, 8  # pictures that it is measured on; pixels of the noise that each is made of, per side


@torch.inference_mode()
def bfloat16_error(trunk: Trunk) -> float:
    """The largest relative error of the averaged features of an image at any depth, bfloat16 against float32.

    On seeded pictures: what a trunk is computed in does not depend on the images that come first. Infinite where
    bfloat16 gives what is no number.
    """
    device = next(trunk.parameters()).device
    images = trunk.preprocessing.normalise(pictures(trunk.preprocessing.shape).to(device))
    averaged = []
    for precision in ("float32", "bfloat16"):
        with autocast(precision, device):
            captured = trunk.capture(images, trunk.depths)
        averaged.append([captured[depth].float().mean((2, 3)) for depth in trunk.depths])
    errors = [relative(exact, rounded) for exact, rounded in zip(*averaged, strict=True)]
    return max(errors)


def relative(exact: Tensor, rounded: Tensor) -> float:
    """(N, C) against (N, C): the largest error of a row by its length."""
    error = ((rounded - exact).norm(dim=1) / exact.norm(dim=1).clamp(min=1e-12)).max().item()
    return error if error == error else float("inf")


def pictures(shape: tuple[int, int]) -> Tensor:
    """uint8 (8, height, width, 3): seeded noise, enlarged; smooth as photographs are."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(IMAGES, 3, COARSE, COARSE, generator=generator)
    enlarged = nn.functional.interpolate(coarse, size=shape, mode="bilinear") * 255
    return enlarged.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
