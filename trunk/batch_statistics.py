"""The statistics that batch normalisation uses in evaluation, measured anew over a mixture of all sub-datasets.

In training each step shows one attribute's balanced batch, and the running averages follow the last hundred or so. A
trunk that serves other attributes meets other images: these statistics are those of the images themselves. Averaged as
in Rethinking "Batch" in BatchNorm (Wu and Johnson, 2021), arXiv:2105.07576, section 3: plain means over the batches,
with the weights as they are at the end ("precise" batch norm).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def reestimate(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics in ``module`` by their mean over ``batches``, (N, 3, S, S) each.

    No weight changes; ``module`` is left in evaluation mode. Without a batch the statistics stay as they are.
    """
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    module.train()
    fresh = True
    with torch.no_grad():
        for images in batches:
            if fresh:
                for norm in norms:
                    norm.reset_running_stats()
                    norm.momentum = None  # a plain mean over all batches
                fresh = False
            module(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.eval()
