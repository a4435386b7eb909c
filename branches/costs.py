"""What a module costs: trainable weights, bytes on disk, and multiply-accumulates per image."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(module: nn.Module) -> int:
    """The number of trainable weights, the scales and shifts of norms included."""
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)


def stored_bytes(module: nn.Module) -> int:
    """The weights and statistics of a module as bytes on disk, as `branches.records.save_branch` writes them.

    The header of the file, a few kilobytes, is left out.
    """
    return sum(value.numel() * value.element_size() for value in module.state_dict().values())


def macs(module: nn.Module, *shapes: tuple[int, int, int]) -> int:
    """Multiply-accumulates for one image: convolutions, linear layers and bilinear products.

    Norms, activations, poolings and sums are left out, as is usual. Counted as the module runs (once, on zeros, in
    evaluation mode), so any module that takes a map (1, C, H, W) for each of `shapes` (C, H, W) will do; a branch or a
    tail takes one, that of the features. Its mode and its state are left as they were.
    """
    example = next(module.parameters(), torch.empty(0))
    maps = [torch.zeros(1, *shape, device=example.device, dtype=example.dtype) for shape in shapes]
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(*maps)
    finally:
        for part, mode in training.items():
            part.training = mode
    return int(counter.get_total_flops()) // 2
