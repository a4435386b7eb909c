from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from branches.settings import FitSettings
from branches.training import adamw
from nas.enas import descend
from nas.supernet.supernet import Supernet
from search_spaces import macro_space


@pytest.mark.parametrize("clip", [0.01, 1e3])
def test_descents_are_the_steps_of_a_plain_loop_bit_for_bit(clip: float) -> None:
    space, settings, rng = macro_space(3, widths=(4, 8)), FitSettings(), np.random.default_rng(0)
    ours = Supernet(space, (6, 3, 3), 2, generator=torch.Generator().manual_seed(0))
    plain = deepcopy(ours)
    optimizers = adamw(ours, settings), adamw(plain, settings)
    features = torch.randn(16, 6, 3, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(16) % 2
    weights = list(ours.parameters())
    for _ in range(6):
        path = space.random(rng)
        descend(functional.cross_entropy(ours(features, path), labels), weights, optimizers[0], clip)
        optimizers[1].zero_grad(set_to_none=True)
        functional.cross_entropy(plain(features, path), labels).backward()
        nn.utils.clip_grad_norm_(plain.parameters(), clip)
        optimizers[1].step()
    for (name, weight), wanted in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(weight, wanted), name
        assert (weight.grad is None) == (wanted.grad is None), name
    assert len(optimizers[0].state) == len(optimizers[1].state) < len(weights)  # what no path used was passed over
