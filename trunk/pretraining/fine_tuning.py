"""A training that begins from given weights: the heads first, then all blocks, the more slowly the nearer the images.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 4.2, and
GraftNet: An Engineering Implementation (Jia et al.), section 4.3, compare trunks of published weights with trunks of
the dynamic graph; here the second begins from the first. Learning rates that fall towards the input: Universal Language
Model Fine-tuning for Text Classification (Howard and Ruder, 2018), arXiv:1801.06146, section 3.2.
"""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from trunk.backbones.chain import BlockChain
from trunk.checkpoints import decay_groups
from trunk.pretraining.dynamic_graph import DynamicGraph
from trunk.pretraining.settings import PretrainSettings


def block_parts(chain: BlockChain, number: int) -> nn.ModuleList:
    """The modules of one block."""
    return nn.ModuleList(chain.get_submodule(name) for name in chain.block_modules[number])


def parameter_groups(graph: DynamicGraph, settings: PretrainSettings) -> list[dict[str, Any]]:
    """What the optimiser trains, with each group's ``share`` of the learning rate.

    The heads and the last block have all of it, the first block ``tune_stem``, and those between fall geometrically.
    The first ``tune_frozen`` blocks are in no group.
    """
    blocks = len(graph.chain)
    groups = [{**group, "share": 1.0} for group in decay_groups(graph.heads, settings.weight_decay)]
    for number in range(settings.tune_frozen, blocks):
        share = settings.tune_stem ** ((blocks - 1 - number) / max(1, blocks - 1))
        parts = block_parts(graph.chain, number)
        groups += [{**group, "share": share} for group in decay_groups(parts, settings.weight_decay)]
    return [group for group in groups if group["params"]]


def set_modes(graph: DynamicGraph, settings: PretrainSettings, step: int) -> None:
    """What learns at this step, and which batch norms take their statistics from the batch."""
    heads_alone = step < settings.tune_head_steps
    graph.train()
    if heads_alone:
        graph.chain.eval()
    for number in range(len(graph.chain)):
        stays = number < settings.tune_frozen
        parts = block_parts(graph.chain, number).requires_grad_(not (stays or heads_alone))
        if stays:
            parts.eval()
    if settings.tune_norms == "kept":
        for part in graph.chain.modules():
            if isinstance(part, _BatchNorm):
                part.eval()
