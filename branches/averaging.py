"""A running average of a module's weights, which generalises better than its last step.

Averaging Weights Leads to Wider Optima and Better Generalization (Izmailov et al., 2018), arXiv:1803.05407; here the
average is exponential, and its decay grows with the steps so that the first weights are soon forgotten.
"""

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of all floating-point weights and buffers of one module; integer buffers are copied."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the module's weights after its `step`-th step, counted from 1."""
        share = 1 - min(self.decay, step / (step + 10))
        averages: list[Tensor] = []
        weights: list[Tensor] = []
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                averages.append(self.state[name])
                weights.append(value)
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(averages, weights, share)

    @torch.no_grad()
    def swap(self, module: nn.Module) -> None:
        """Exchange the module's weights and the average; a second call puts both back."""
        for name, value in module.state_dict().items():
            kept = value.clone()
            value.copy_(self.state[name])
            self.state[name] = kept
