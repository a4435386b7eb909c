"""What a module costs: trainable weights, and multiply-accumulates per image."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(module: nn.Module) -> int:
    """The number of trainable weights, the scales and shifts of norms included."""
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)


def macs(module: nn.Module, feature_shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates for one image of features (C, H, W): convolutions, linear layers and bilinear products.

    Norms, activations, poolings and sums are left out, as is usual. Counted as the module runs (once, on zeros, in
    evaluation mode), so any module that takes (1, C, H, W) will do. Its mode and its state are left as they were.
    """
    example = next(module.parameters(), torch.empty(0))
    features = torch.zeros(1, *feature_shape, device=example.device, dtype=example.dtype)
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(features)
    finally:
        for part, mode in training.items():
            part.training = mode
    return int(counter.get_total_flops()) // 2
