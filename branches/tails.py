"""Architecture of the tail space -> module: the backbone's own blocks, cut short or not, and what pools their map.

GraftNet's engineering paper, section 3.3: "first 8 blocks of InceptionV3 (blocks 0~5 are from the trunk and blocks 6~7
are open for fine-tuning as part of the branch) to extract features and use Bilinear Pooling".
"""

from collections.abc import Callable

import torch
from torch import nn

from branches.errors import BranchError
from branches.layers import POOLINGS, ProjectedPool, pooled_features
from search_spaces.architecture import Architecture
from search_spaces.operations import POOLED
from search_spaces.tail import TailPlan, tail_plan
from trunk.backbones.find import block_shapes, find_backbone
from trunk.errors import TrunkError
from trunk.trunk import Tail, Trunk, tail_modules

TailBuilder = Callable[[torch.Generator], nn.Module]


def tail_branch(
    trunk: Trunk, architecture: Architecture, values: int, *, generator: torch.Generator | None = None
) -> Tail:
    """The branch, its blocks copied from the trunk: features after `freeze_depth` blocks (N, C, H, W) -> (N, values).

    What is new (the projection before bilinear pooling, the linear layer) is drawn from `generator`.
    Raises: BranchError for another backbone than the trunk's; TrunkError where its blocks do not reach so far.
    """
    plan = tail_plan(architecture)
    if plan.backbone != trunk.backbone:
        raise BranchError(f"a tail of {plan.backbone} cannot follow a trunk of {trunk.backbone}: choose one of its own")
    channels = trunk.feature_shape(plan.blocks)[0]
    pool = pool_of(plan, channels, generator)
    return trunk.tail(plan.freeze_depth, values, blocks=plan.blocks, pool=pool, generator=generator)


def pool_of(plan: TailPlan, channels: int, generator: torch.Generator | None = None) -> tuple[nn.Module, int] | None:
    """The pooling behind the blocks and its number of features; None for the mean."""
    if plan.pooling == "average":
        return None
    if not POOLED[plan.pooling].projected:
        return POOLINGS[plan.pooling].module(), pooled_features(plan.pooling, channels)
    pool = ProjectedPool(channels, plan.width, plan.pooling, generator=generator)
    return pool, pooled_features(plan.pooling, plan.width)


def empty_tail(
    backbone: str, depth: int, shape: tuple[int, int, int], values: int, architecture: Architecture | None
) -> Tail:
    """A tail without weights, to be called on the meta device; of no architecture, all blocks and the mean.

    Raises: TrunkError where the backbone has no such tail.
    """
    chain = find_backbone(backbone).build().eval()
    plan = tail_plan(architecture) if architecture else None
    end = plan.blocks if plan else len(chain)
    if not 1 <= depth < end <= len(chain):
        raise TrunkError(f"{backbone} has no tail after {depth} of {end} blocks, {len(chain)} in all")
    maps = block_shapes(backbone, find_backbone(backbone).image_size)  # channels do not depend on the size
    if shape[0] != maps[depth - 1][0]:
        raise TrunkError(f"{backbone} has {maps[depth - 1][0]} channels after {depth} blocks, not {shape[0]}")
    channels = maps[end - 1][0]
    return Tail(tail_modules(chain, depth, end), channels, values, pool=pool_of(plan, channels) if plan else None)
